"""What happened: a row for every change of a state, and for what people do on the command line."""

from sqlalchemy import Column, Index, Integer, Table

from elastic.db.model.schema import OPTIONS, Digest, Instant, Key, Label, Prose, Serial, Word, metadata

log = Table(
    "log",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("event", Word, nullable=False),
    Column("dag_id", Key),
    Column("run_id", Key),
    Column("task_id", Key),
    Column("map_index", Integer),
    Column("try_number", Integer),
    Column("attempt_uuid", Digest),
    #: the user whose process it was
    Column("owner", Label),
    Column("detail", Prose),
    Index("ix_log_key", "dag_id", "run_id"),
    **OPTIONS,
)
