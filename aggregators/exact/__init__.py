"""Exact arithmetic and total order, so that results do not depend on the order of entries."""
