"""Aggregators by key."""
