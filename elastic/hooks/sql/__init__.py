"""Hooks of SQL databases."""
