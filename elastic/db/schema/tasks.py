"""Tables of task instances (one per task and run, and per element of a mapped task), attempts, waits and XComs (JSON).

Attempts stay when their instance is cleared.
"""

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, false

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, Label, LongText, Prose, Serial, Word, metadata

task_attempt = Table(
    "task_attempt",
    metadata,
    Column("attempt_uuid", Digest, primary_key=True),
    Column("dag_id", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("task_id", Key, nullable=False),
    Column("map_index", Integer, nullable=False),
    #: number of the rerun of the DAG run
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
    #: exit code of the process; negative for the signal that ended it
    Column("exit_code", Integer),
    Column("error", Prose),
    Column("log_path", LongText),
    Column("flow_run_id", String(250)),
    #: true once the instance was cleared, after which the attempt no longer matters to it
    Column("is_cleared", Boolean, nullable=False, server_default=false()),
    #: state whose callbacks are due, because the process ended before it called them; `taken` after a process took
    #: them, which happens at most once
    Column("callback", Word),
    Index(None, "callback"),
    Index("ix_task_attempt_key", "dag_id", "run_id", "task_id"),
    **OPTIONS,
)


task_instance = Table(
    "task_instance",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    Column("task_id", Key, primary_key=True),
    #: -1 if the task is not mapped
    Column("map_index", Integer, primary_key=True, autoincrement=False),
    #: null before the first decision
    Column("state", Word),
    #: times the instance was queued since it was created or cleared
    Column("try_number", Integer, nullable=False),
    #: tries before it fails for good
    Column("max_tries", Integer, nullable=False),
    #: incremented by every change
    Column("version", Integer, nullable=False),
    #: current attempt; updates by other attempts have no effect
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
    #: data flow that the instance ran, which a retry resumes
    Column("flow_run_id", String(250)),
    Column("note", Prose),
    #: covering index for active instances
    Index("ix_task_instance_active", "state", "pool", "dag_id", "pool_slots"),
    sqlite_with_rowid=False,
    **OPTIONS,
)


task_trigger = Table(
    "task_trigger",
    metadata,
    #: attempt that waits; the row is deleted when the attempt ends
    Column("attempt_uuid", Digest, primary_key=True),
    Column("dag_id", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("task_id", Key, nullable=False),
    Column("map_index", Integer, nullable=False),
    #: kind of the trigger; `poke` if the attempt itself checks
    Column("kind", String(64), nullable=False),
    #: JSON
    Column("arguments", LongText, nullable=False),
    #: digest of kind and arguments: equal questions are asked once
    Column("question", Digest, nullable=False),
    #: connection of the trigger, or its kind: checks with the same one share a limit
    Column("connection", String(250), nullable=False),
    #: settings of the wait (JSON)
    Column("settings", LongText, nullable=False),
    #: when the first process of the attempt began, and the end of the wait: both stay over all checks
    Column("started_at", Instant, nullable=False),
    Column("deadline", Instant),
    #: when the triggerer checks next; null if it does not check
    Column("next_check_at", Instant),
    Column("last_checked_at", Instant),
    Column("checks", Integer, nullable=False),
    #: checks in a row that failed
    Column("errors", Integer, nullable=False),
    Column("reason", Prose),
    #: processes that the attempt has had
    Column("slices", Integer, nullable=False),
    #: answer for the next process of the attempt (JSON), once the condition holds
    Column("answer", LongText),
    #: triggerer that checks now
    Column("lease_owner", String(64)),
    #: by the clock of the database
    Column("lease_expires_at", Instant),
    Index(None, "next_check_at"),
    Index("ix_task_trigger_run", "dag_id", "run_id"),
    **OPTIONS,
)


xcom = Table(
    "xcom",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    Column("task_id", Key, primary_key=True),
    Column("map_index", Integer, primary_key=True, autoincrement=False),
    Column("key", Key, primary_key=True),
    Column("value", LongText, nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
    **OPTIONS,
)
