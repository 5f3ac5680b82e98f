"""Transports between master and workers: inline, with injected faults, and their parts."""
