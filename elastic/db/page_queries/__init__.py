"""Queries of pages: bounded, with keyset paging, and without a query for each row."""
