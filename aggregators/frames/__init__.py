"""Aggregators of data frames."""
