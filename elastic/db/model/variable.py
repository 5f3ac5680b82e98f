"""Values that DAGs read by name. Encrypted, since nobody says which of them are secrets."""

from sqlalchemy import Column, Table

from elastic.db.model.schema import OPTIONS, Key, LongText, metadata

variable = Table(
    "variable",
    metadata,
    Column("key", Key, primary_key=True),
    Column("value", LongText, nullable=False),
    Column("description", LongText),
    **OPTIONS,
)
