"""The source of DAG files, so that a run can show the code that it ran."""

from sqlalchemy import Column, Table

from elastic.db.model.schema import OPTIONS, Digest, Instant, LongText, metadata

dag_code = Table(
    "dag_code",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("fileloc", LongText, nullable=False),
    Column("source", LongText, nullable=False),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)
