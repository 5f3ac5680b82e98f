"""Fingerprints of user code, by which a resume detects changed code."""
