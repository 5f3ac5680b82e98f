"""Initial tables."""

import sqlalchemy as sa
from alembic import op

from elastic.db.migration.upgrade import insert_default_rows
from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, LongBytes, LongText, Serial, Word

revision = "0001"
down_revision = None

_TABLES = (
    "bundle",
    "connection",
    "dag",
    "dag_code",
    "dag_run",
    "dag_run_attempt",
    "dag_structure",
    "import_error",
    "job",
    "log",
    "log_line",
    "pool",
    "task_attempt",
    "task_instance",
    "user",
    "variable",
    "xcom",
)


def upgrade() -> None:
    op.create_table(
        "bundle",
        sa.Column("digest", Digest, nullable=False),
        sa.Column("signer", sa.String(length=250), nullable=False),
        sa.Column("signature", LongText, nullable=False),
        sa.Column("entry_point", sa.String(length=500), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", LongBytes, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_bundle"),
        **OPTIONS,
    )
    op.create_table(
        "connection",
        sa.Column("conn_id", Key, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=500)),
        sa.Column("login", sa.String(length=500)),
        sa.Column("password", LongText),
        sa.Column("schema", LongText),
        sa.Column("port", sa.Integer()),
        sa.Column("extra", LongText),
        sa.Column("description", LongText),
        sa.PrimaryKeyConstraint("conn_id", name="pk_connection"),
        **OPTIONS,
    )
    op.create_table(
        "dag",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("fileloc", LongText),
        sa.Column("is_paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("owner", sa.String(length=250)),
        sa.Column("description", LongText),
        sa.Column("schedule", sa.String(length=250)),
        sa.Column("tags", LongText),
        sa.Column("task_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("concurrency", sa.Integer(), server_default="0", nullable=False),
        sa.Column("source_digest", Digest),
        sa.Column("structure_digest", Digest),
        sa.Column("parsed_at", Instant()),
        sa.PrimaryKeyConstraint("dag_id", name="pk_dag"),
        **OPTIONS,
    )
    op.create_table(
        "dag_code",
        sa.Column("digest", Digest, nullable=False),
        sa.Column("fileloc", LongText, nullable=False),
        sa.Column("source", LongText, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_dag_code"),
        **OPTIONS,
    )
    op.create_table(
        "dag_run",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("logical_date", Instant(), nullable=False),
        sa.Column("data_interval_start", Instant(), nullable=False),
        sa.Column("data_interval_end", Instant(), nullable=False),
        sa.Column("timeperiod", Word),
        sa.Column("run_type", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("conf", LongText, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source_digest", Digest),
        sa.Column("structure_digest", Digest),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("started_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.PrimaryKeyConstraint("dag_id", "run_id", name="pk_dag_run"),
        sa.UniqueConstraint("dag_id", "logical_date", name="uq_dag_run_dag_id_logical_date"),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_dag_run_dag_id_timeperiod", "dag_run", ["dag_id", "timeperiod"], unique=False)
    op.create_index("ix_dag_run_state", "dag_run", ["state"], unique=False)
    op.create_table(
        "dag_run_attempt",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("mode", Word, nullable=False),
        sa.Column("task_id", Key),
        sa.Column("owner", sa.String(length=250)),
        sa.Column("state", Word, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant()),
        sa.PrimaryKeyConstraint("dag_id", "run_id", "attempt", name="pk_dag_run_attempt"),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_table(
        "dag_structure",
        sa.Column("digest", Digest, nullable=False),
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("structure", LongText, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_dag_structure"),
        **OPTIONS,
    )
    op.create_index("ix_dag_structure_dag_id", "dag_structure", ["dag_id"], unique=False)
    op.create_table(
        "import_error",
        sa.Column("path_digest", Digest, nullable=False),
        sa.Column("path", LongText, nullable=False),
        sa.Column("traceback", LongText, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("path_digest", name="pk_import_error"),
        **OPTIONS,
    )
    op.create_table(
        "job",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("dag_id", Key),
        sa.Column("executor", sa.String(length=250)),
        sa.Column("host", sa.String(length=250), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=250)),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("heartbeat_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        **OPTIONS,
    )
    op.create_index("ix_job_state", "job", ["state"], unique=False)
    op.create_table(
        "log",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("event", Word, nullable=False),
        sa.Column("dag_id", Key),
        sa.Column("run_id", Key),
        sa.Column("task_id", Key),
        sa.Column("map_index", sa.Integer()),
        sa.Column("try_number", sa.Integer()),
        sa.Column("attempt_uuid", Digest),
        sa.Column("owner", sa.String(length=250)),
        sa.Column("detail", LongText),
        sa.PrimaryKeyConstraint("id", name="pk_log"),
        **OPTIONS,
    )
    op.create_index("ix_log_key", "log", ["dag_id", "run_id"], unique=False)
    op.create_table(
        "log_line",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("task_id", Key),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("attempt_uuid", Digest),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("logger", sa.String(length=500), nullable=False),
        sa.Column("level", Word, nullable=False),
        sa.Column("message", LongText, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_line"),
        **OPTIONS,
    )
    op.create_index("ix_log_line_key", "log_line", ["dag_id", "run_id", "task_id"], unique=False)
    op.create_table(
        "pool",
        sa.Column("pool", Key, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("description", LongText),
        sa.PrimaryKeyConstraint("pool", name="pk_pool"),
        **OPTIONS,
    )
    op.create_table(
        "task_attempt",
        sa.Column("attempt_uuid", Digest, nullable=False),
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("task_id", Key, nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("queued_at", Instant(), nullable=False),
        sa.Column("started_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.Column("duration", sa.Float()),
        sa.Column("host", sa.String(length=250)),
        sa.Column("pid", sa.Integer()),
        sa.Column("job_id", Serial),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("error", LongText),
        sa.Column("log_path", LongText),
        sa.Column("flow_run_id", sa.String(length=250)),
        sa.Column("is_cleared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_uuid", name="pk_task_attempt"),
        **OPTIONS,
    )
    op.create_index("ix_task_attempt_key", "task_attempt", ["dag_id", "run_id", "task_id"], unique=False)
    op.create_table(
        "task_instance",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("task_id", Key, nullable=False),
        sa.Column("map_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", Word),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("max_tries", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("attempt_uuid", Digest),
        sa.Column("lease_owner", sa.String(length=64)),
        sa.Column("lease_expires_at", Instant()),
        sa.Column("queued_at", Instant()),
        sa.Column("started_at", Instant()),
        sa.Column("ended_at", Instant()),
        sa.Column("duration", sa.Float()),
        sa.Column("next_retry_at", Instant()),
        sa.Column("operator", sa.String(length=250)),
        sa.Column("pool", Key, nullable=False),
        sa.Column("pool_slots", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(length=250), nullable=False),
        sa.Column("host", sa.String(length=250)),
        sa.Column("pid", sa.Integer()),
        sa.Column("job_id", Serial),
        sa.Column("flow_run_id", sa.String(length=250)),
        sa.Column("note", LongText),
        sa.PrimaryKeyConstraint("dag_id", "run_id", "task_id", "map_index", name="pk_task_instance"),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_task_instance_active", "task_instance", ["state", "pool", "dag_id", "pool_slots"], unique=False)
    op.create_table(
        "user",
        sa.Column("username", Key, nullable=False),
        sa.Column("role", Word, nullable=False),
        sa.Column("email", sa.String(length=250)),
        sa.Column("password_hash", LongText),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_user"),
        **OPTIONS,
    )
    op.create_table(
        "variable",
        sa.Column("key", Key, nullable=False),
        sa.Column("value", LongText, nullable=False),
        sa.Column("description", LongText),
        sa.PrimaryKeyConstraint("key", name="pk_variable"),
        **OPTIONS,
    )
    op.create_table(
        "xcom",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("task_id", Key, nullable=False),
        sa.Column("map_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", Key, nullable=False),
        sa.Column("value", LongText, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("dag_id", "run_id", "task_id", "map_index", "key", name="pk_xcom"),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    insert_default_rows(op.get_bind())


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
