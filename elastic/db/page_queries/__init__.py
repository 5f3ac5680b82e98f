"""Queries of pages: bounded, paged by keys, and without a query for each row."""
