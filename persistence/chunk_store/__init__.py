"""Stores of chunks that are not yet in the result."""
