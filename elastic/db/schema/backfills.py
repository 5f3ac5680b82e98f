"""Table of backfills that masters carry out: ranges of dates whose runs are made a few at a time."""

from sqlalchemy import Column, Index, Integer, Table

from elastic.db.schema.types import OPTIONS, Instant, Key, Label, Serial, Word, metadata

backfill = Table(
    "backfill",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("dag_id", Key, nullable=False),
    #: first and last logical date
    Column("from_date", Instant, nullable=False),
    Column("to_date", Instant, nullable=False),
    #: next logical date whose run is made; null after the last one
    Column("next_date", Instant),
    #: runs that are active at the same time
    Column("max_active_runs", Integer, nullable=False),
    #: running, paused, success, failed or canceled
    Column("state", Word, nullable=False),
    #: runs that were made; dates that had a run are left out
    Column("made", Integer, nullable=False),
    Column("owner", Label),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index(None, "state"),
    Index(None, "dag_id"),
    **OPTIONS,
)
