"""Differences between databases: inserting rows, binding values, opening connections."""
