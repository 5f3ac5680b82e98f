"""Triggerer: the process that checks what deferred tasks wait for."""
