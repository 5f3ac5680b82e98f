"""Verification of a finished run: receipts, counts, partial results and recomputation."""
