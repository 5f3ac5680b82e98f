"""Tries of a task instance. They stay when the instance is cleared."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, false

from elastic.db.model.schema import OPTIONS, Digest, Instant, Key, Label, LongText, Prose, Serial, Word, metadata

task_attempt = Table(
    "task_attempt",
    metadata,
    Column("attempt_uuid", Digest, primary_key=True),
    Column("dag_id", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("task_id", Key, nullable=False),
    Column("map_index", Integer, nullable=False),
    #: the rerun of the DAG run that it belongs to
    Column("run_attempt", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("state", Word, nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("duration", Float),
    Column("host", Label),
    Column("pid", Integer),
    Column("job_id", Serial),
    #: of the process; less than 0 for the signal that ended it
    Column("exit_code", Integer),
    Column("error", Prose),
    Column("log_path", LongText),
    Column("flow_run_id", String(250)),
    #: true once its instance was cleared: it no longer says anything about the instance
    Column("is_cleared", Boolean, nullable=False, server_default=false()),
    #: the state whose callbacks are due, because the process ended before it called them; `taken` once a process calls
    #: them, which is at most once
    Column("callback", Word),
    Index("ix_task_attempt_key", "dag_id", "run_id", "task_id"),
    **OPTIONS,
)
