"""Table of deadlines of runs: made with the run, and reported once if they pass."""

from sqlalchemy import Column, Float, Index, Table

from elastic.db.schema.types import OPTIONS, Instant, Key, LongText, Serial, Word, metadata

deadline = Table(
    "deadline",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("dag_id", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    #: null for the whole run
    Column("task_id", Key),
    #: queued, started, logical_date or interval_end
    Column("counts_after", Word, nullable=False),
    Column("seconds", Float, nullable=False),
    #: recipients (JSON)
    Column("notify", LongText, nullable=False),
    #: null until the run has started, if the deadline counts from then
    Column("due_at", Instant),
    #: armed, met or missed
    Column("state", Word, nullable=False),
    #: when a master found it missed
    Column("missed_at", Instant),
    Index(None, "state", "due_at"),
    Index(None, "dag_id", "run_id"),
    **OPTIONS,
)
