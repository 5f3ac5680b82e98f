"""Versions of the tables, oldest first. This list makes importing Alembic unnecessary for version checks."""

REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0010",
    "0009",
    "0011",
    "0012",
    "0013",
    "0008",
    "0014",
)

#: Version that this program requires.
HEAD = REVISIONS[-1]
