"""Aggregators of single values: counts, sums, extremes, sketches."""
