"""Tables of DAGs.

- bundle: signed archives of source code, for workers without DAG files
- dag: DAGs from DAG files
- dag_code: source of DAG files, so that a run can show the code that it ran
- dag_structure: structure of DAGs as JSON, which can be shown without importing user code
- import_error: files that could not be imported
"""

from sqlalchemy import Boolean, Column, Integer, String, Table, true

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, Label, LongBytes, LongText, Prose, metadata

bundle = Table(
    "bundle",
    metadata,
    #: SHA-256 of the content
    Column("digest", Digest, primary_key=True),
    #: name of the key that signed it
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
    #: file that defines the DAG
    Column("fileloc", LongText),
    #: false after its file stopped defining it
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("owner", Label),
    Column("description", Prose),
    Column("schedule", Label),
    Column("tags", LongText),
    Column("task_count", Integer, nullable=False, server_default="0"),
    #: maximum number of queued and running task instances; 0 for no limit
    Column("concurrency", Integer, nullable=False, server_default="0"),
    #: keys of the latest rows of dag_code and dag_structure
    Column("source_digest", Digest),
    Column("structure_digest", Digest),
    #: time of the last scan of its whole file; null if only this DAG was stored since the file changed
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
    #: digest of the path, because MySQL cannot index strings of unlimited length
    Column("path_digest", Digest, primary_key=True),
    Column("path", LongText, nullable=False),
    Column("traceback", Prose, nullable=False),
    Column("at", Instant, nullable=False),
    **OPTIONS,
)
