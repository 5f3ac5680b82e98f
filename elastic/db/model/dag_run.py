"""Executions of a DAG, one for a logical date."""

from sqlalchemy import Column, Index, Integer, Table, UniqueConstraint

from elastic.db.model.schema import OPTIONS, Digest, Instant, Key, LongText, Word, metadata

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
    #: JSON: what `dags trigger --conf` was given
    Column("conf", LongText, nullable=False),
    #: 1, and one more with every rerun
    Column("attempt", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("source_digest", Digest),
    Column("structure_digest", Digest),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    UniqueConstraint("dag_id", "logical_date"),
    Index(None, "state"),
    Index(None, "dag_id", "timeperiod"),
    sqlite_with_rowid=False,
    **OPTIONS,
)
