"""Values of the data path: chunks, partial results, failures, steps."""
