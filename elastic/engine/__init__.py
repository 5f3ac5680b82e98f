"""Runs one step: chunker, ledger, master, aggregation, result."""
