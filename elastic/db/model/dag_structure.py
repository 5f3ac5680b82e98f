"""The structure of DAGs as JSON: what may be shown without importing anybody's code."""

from sqlalchemy import Column, Table

from elastic.db.model.schema import OPTIONS, Digest, Instant, Key, LongText, metadata

dag_structure = Table(
    "dag_structure",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("dag_id", Key, nullable=False, index=True),
    Column("structure", LongText, nullable=False),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)
