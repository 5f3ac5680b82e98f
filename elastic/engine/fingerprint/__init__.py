"""Fingerprints of user code, which tell a resumed run whether the code has changed."""
