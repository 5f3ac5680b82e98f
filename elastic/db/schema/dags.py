"""Signed archives of source, for workers that have no DAG files.

The DAGs that were found in files.

The source of DAG files, so that a run can show the code that it ran.

The structure of DAGs as JSON: what may be shown without importing anybody's code.

Files that could not be imported.
"""

from sqlalchemy import Boolean, Column, Integer, String, Table, false, true

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, Label, LongBytes, LongText, Prose, metadata

bundle = Table(
    "bundle",
    metadata,
    #: SHA-256 of the content
    Column("digest", Digest, primary_key=True),
    #: the name of the key that signed it
    Column("signer", String(250), nullable=False),
    Column("signature", LongText, nullable=False),
    #: `module:attribute`
    Column("entry_point", String(500), nullable=False),
    #: bytes
    Column("size", Integer, nullable=False),
    Column("content", LongBytes, nullable=False),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)


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


dag_code = Table(
    "dag_code",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("fileloc", LongText, nullable=False),
    Column("source", LongText, nullable=False),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)


dag_structure = Table(
    "dag_structure",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("dag_id", Key, nullable=False, index=True),
    Column("structure", LongText, nullable=False),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)


import_error = Table(
    "import_error",
    metadata,
    #: of the file's path, because MySQL indexes no text of any length
    Column("path_digest", Digest, primary_key=True),
    Column("path", LongText, nullable=False),
    Column("traceback", Prose, nullable=False),
    Column("at", Instant, nullable=False),
    **OPTIONS,
)
