"""Values that tasks pass to each other, as JSON."""

from sqlalchemy import Column, Integer, Table

from elastic.db.model.schema import OPTIONS, Instant, Key, LongText, metadata

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
