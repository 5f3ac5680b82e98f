"""Reruns of a DAG run, kept apart: what was asked for, by whom, and how it ended."""

from sqlalchemy import Column, Integer, Table

from elastic.db.model.schema import OPTIONS, Instant, Key, Label, Word, metadata

dag_run_attempt = Table(
    "dag_run_attempt",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    #: nominal, recovery, run_one, run_from
    Column("mode", Word, nullable=False),
    #: the task that run_one and run_from begin at
    Column("task_id", Key),
    Column("owner", Label),
    Column("state", Word, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    sqlite_with_rowid=False,
    **OPTIONS,
)
