"""Slots that task instances share, so that not too many use the same system at once."""

from sqlalchemy import Column, Integer, Table

from elastic.db.model.schema import OPTIONS, Key, LongText, metadata

#: The pool of tasks that name none.
DEFAULT_POOL = "default"
#: Its slots, until somebody sets others.
DEFAULT_SLOTS = 128

pool = Table(
    "pool",
    metadata,
    Column("pool", Key, primary_key=True),
    #: -1 for any number
    Column("slots", Integer, nullable=False),
    Column("description", LongText),
    **OPTIONS,
)
