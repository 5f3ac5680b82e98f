"""Tables of the audit log (state changes and user actions) and of log lines of flows and steps."""

from sqlalchemy import Column, Index, Integer, Table

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, Label, Prose, Serial, Word, Writable, metadata

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
    #: name of the user of the web server, or of the process
    Column("owner", Label),
    #: client address of the user; null for a change by a command or by the service
    Column("address", Label),
    Column("detail", Prose),
    Index("ix_log_key", "dag_id", "run_id"),
    #: events of a DAG or of a kind, the latest first
    Index(None, "dag_id", "id"),
    Index(None, "event", "id"),
    **OPTIONS,
)


log_line = Table(
    "log_line",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("dag_id", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("run_attempt", Integer, nullable=False),
    #: null for a line of the flow
    Column("task_id", Key),
    Column("map_index", Integer, nullable=False),
    Column("attempt_uuid", Digest),
    Column("at", Instant, nullable=False),
    #: `step` or `step.action`
    Column("logger", Writable(500), nullable=False),
    Column("level", Word, nullable=False),
    Column("message", Prose, nullable=False),
    Index("ix_log_line_key", "dag_id", "run_id", "task_id"),
    **OPTIONS,
)
