"""Processes that run task instances, with their heartbeat."""

from sqlalchemy import Column, Index, Integer, String, Table

from elastic.db.model.schema import OPTIONS, Instant, Key, Label, Serial, Word, metadata

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
