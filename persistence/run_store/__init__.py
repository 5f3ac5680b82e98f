"""The store of a run: one SQLite file with results, receipts and progress."""
