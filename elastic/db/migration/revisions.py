"""Versions of the tables, oldest first: known here so that nobody imports Alembic to look at a number."""

REVISIONS = ("0001", "0002")

#: What this program works with.
HEAD = REVISIONS[-1]
