"""Tables of the scheduler service.

- dag_cursor: position of each DAG in its schedule. The parser never writes it, so that neither waits for the other.
- dag_file: state of each DAG file as it was last parsed, and the lease of the parser that reads it
- dag_version: versions of the structure of each DAG
- run_callback: callbacks that are due for runs that ended. A row is deleted after they were called.
- run_claim: which master decides about a run. A run of the service has a row until it ends.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, UniqueConstraint, false

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, LongText, Prose, Word, metadata

dag_cursor = Table(
    "dag_cursor",
    metadata,
    Column("dag_id", Key, primary_key=True),
    #: logical date of the next run; null if there is none
    Column("next_logical_date", Instant),
    #: end of its data interval, when the run is due
    Column("next_run_at", Instant),
    #: latest logical date that was planned
    Column("last_logical_date", Instant),
    Column("is_paused", Boolean, nullable=False, server_default=false()),
    Column("max_active_runs", Integer, nullable=False, server_default="16"),
    #: structure from which the dates were derived
    Column("structure_digest", Digest),
    #: incremented by every change
    Column("version", Integer, nullable=False, server_default="0"),
    #: why the DAG has no dates; null if it has
    Column("blocked_reason", Prose),
    Index(None, "next_run_at"),
    **OPTIONS,
)


dag_version = Table(
    "dag_version",
    metadata,
    Column("dag_id", Key, primary_key=True),
    #: 1 for the first version
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("structure_digest", Digest, nullable=False),
    Column("source_digest", Digest),
    Column("first_seen_at", Instant, nullable=False),
    UniqueConstraint("dag_id", "structure_digest"),
    **OPTIONS,
)


dag_file = Table(
    "dag_file",
    metadata,
    #: digest of the path, because MySQL cannot index strings of unlimited length
    Column("path_digest", Digest, primary_key=True),
    Column("path", LongText, nullable=False),
    #: bytes, and nanoseconds since the epoch
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    #: digest of the names, sizes and times of all modules of the folder; null if the file imports none of them
    Column("helpers_digest", Digest),
    #: seconds that the last parse took
    Column("seconds", Float),
    Column("parsed_at", Instant),
    #: parser that reads the file now
    Column("owner", String(64)),
    Column("lease_expires_at", Instant),
    **OPTIONS,
)


run_claim = Table(
    "run_claim",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    #: master that decides about the run; null if none has taken it yet
    Column("owner", String(64)),
    #: incremented by every take-over
    Column("epoch", Integer, nullable=False, server_default="0"),
    #: by the clock of the database; null if no master has taken the run
    Column("lease_expires_at", Instant),
    Index(None, "owner"),
    sqlite_with_rowid=False,
    **OPTIONS,
)


run_callback = Table(
    "run_callback",
    metadata,
    Column("dag_id", Key, primary_key=True),
    Column("run_id", Key, primary_key=True),
    #: number of the rerun of the run
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    #: final state of the run
    Column("state", Word, nullable=False),
    #: processes that took the callbacks
    Column("calls", Integer, nullable=False),
    #: when another process may take them, by the clock of the database
    Column("next_call_at", Instant, nullable=False),
    Index(None, "next_call_at"),
    sqlite_with_rowid=False,
    **OPTIONS,
)
