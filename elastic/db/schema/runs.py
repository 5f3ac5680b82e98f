"""Tables of DAG runs, one for each logical date, and of their executions: mode, user and final state."""

from sqlalchemy import Boolean, Column, Index, Integer, Table, UniqueConstraint, false

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, Label, LongText, Word, metadata

dag_run = Table(
    "dag_run",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    Column("logical_date", Instant, nullable=False),
    Column("data_interval_start", Instant, nullable=False),
    Column("data_interval_end", Instant, nullable=False),
    Column("timeperiod", Word),
    Column("run_type", Word, nullable=False),
    Column("state", Word, nullable=False),
    #: JSON value of `dags trigger --conf`
    Column("conf", LongText, nullable=False),
    #: 1 for the first execution; each rerun adds 1
    Column("attempt", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("source_digest", Digest),
    Column("structure_digest", Digest),
    #: true if the scheduler service runs it; a run of a command ends with the command
    Column("is_served", Boolean, nullable=False, server_default=false()),
    #: true once a deadline of the run has passed
    Column("is_late", Boolean, nullable=False, server_default=false()),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    UniqueConstraint("dag_id", "logical_date"),
    #: lists of runs, the latest first, of all states or of one
    Index(None, "logical_date", "dag_id"),
    Index(None, "state", "logical_date", "dag_id"),
    #: search by the beginning of an id, which PostgreSQL finds only with these operators
    Index(None, "run_id", postgresql_ops={"run_id": "varchar_pattern_ops"}),
    Index(None, "dag_id", "timeperiod"),
    sqlite_with_rowid=False,
    **OPTIONS,
)


dag_run_attempt = Table(
    "dag_run_attempt",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    #: nominal, recovery, run_one, run_from
    Column("mode", Word, nullable=False),
    #: first task of run_one and run_from
    Column("task_id", Key),
    Column("owner", Label),
    Column("state", Word, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    sqlite_with_rowid=False,
    **OPTIONS,
)
