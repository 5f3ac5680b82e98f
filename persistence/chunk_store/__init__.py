"""Stores of chunks that the result does not contain yet."""
