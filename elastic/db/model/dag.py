"""The DAGs that were found in files."""

from sqlalchemy import Boolean, Column, Integer, Table, false, true

from elastic.db.model.schema import OPTIONS, Digest, Instant, Key, Label, LongText, Prose, metadata

dag = Table(
    "dag",
    metadata,
    Column("dag_id", Key, primary_key=True),
    #: the file that defines it
    Column("fileloc", LongText),
    Column("is_paused", Boolean, nullable=False, server_default=false()),
    #: false once its file no longer defines it
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("owner", Label),
    Column("description", Prose),
    Column("schedule", Label),
    Column("tags", LongText),
    Column("task_count", Integer, nullable=False, server_default="0"),
    #: task instances that may be queued or running at the same time; 0 for any number
    Column("concurrency", Integer, nullable=False, server_default="0"),
    #: of the rows of dag_code and dag_structure that hold what was read last
    Column("source_digest", Digest),
    Column("structure_digest", Digest),
    #: when its whole file was read; none if only this DAG of it was noted since the file changed
    Column("parsed_at", Instant),
    **OPTIONS,
)
