"""What happened: a row for every change of a state, and for what people do on the command line."""

from sqlalchemy import Column, Index, Integer, String, Table

from elastic.db.model.schema import OPTIONS, Digest, Instant, Key, LongText, Serial, Word, metadata

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
    Column("owner", String(250)),
    Column("detail", LongText),
    Index("ix_log_key", "dag_id", "run_id"),
    **OPTIONS,
)
