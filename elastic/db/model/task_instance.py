"""Executions of a task, one in a DAG run; a mapped task has one for each element."""

from sqlalchemy import Column, Float, Index, Integer, String, Table

from elastic.db.model.schema import OPTIONS, Digest, Instant, Key, Label, Prose, Serial, Word, metadata

task_instance = Table(
    "task_instance",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    Column("task_id", Key, primary_key=True),
    #: -1 where the task is not mapped
    Column("map_index", Integer, primary_key=True, autoincrement=False),
    #: null until something was decided about it
    Column("state", Word),
    #: how often it was queued since it was made or cleared
    Column("try_number", Integer, nullable=False),
    #: tries before it fails for good
    Column("max_tries", Integer, nullable=False),
    #: one more with every change
    Column("version", Integer, nullable=False),
    #: the attempt that counts; whoever holds another one changes nothing
    Column("attempt_uuid", Digest),
    Column("lease_owner", String(64)),
    #: by the clock of the database
    Column("lease_expires_at", Instant),
    Column("queued_at", Instant),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    #: seconds
    Column("duration", Float),
    Column("next_retry_at", Instant),
    Column("operator", Label),
    Column("pool", Key, nullable=False),
    Column("pool_slots", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("queue", String(250), nullable=False),
    Column("host", Label),
    Column("pid", Integer),
    Column("job_id", Serial),
    #: the data flow that it ran; a retry resumes it
    Column("flow_run_id", String(250)),
    Column("note", Prose),
    #: what is active, answered from the index alone
    Index("ix_task_instance_active", "state", "pool", "dag_id", "pool_slots"),
    sqlite_with_rowid=False,
    **OPTIONS,
)
