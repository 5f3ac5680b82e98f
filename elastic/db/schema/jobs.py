"""Processes that run task instances, with their heartbeat.

Slots that task instances share, so that not too many use the same system at once.
"""

from sqlalchemy import Column, Index, Integer, String, Table

from elastic.db.schema.types import OPTIONS, Instant, Key, Label, LongText, Serial, Word, metadata

job = Table(
    "job",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    #: such as BackfillJob
    Column("kind", String(64), nullable=False),
    Column("state", Word, nullable=False),
    Column("dag_id", Key),
    Column("executor", Label),
    Column("host", Label, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("owner", Label),
    Column("started_at", Instant, nullable=False),
    #: by the clock of the database
    Column("heartbeat_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index(None, "state"),
    **OPTIONS,
)


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
