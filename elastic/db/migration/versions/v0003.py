"""Add the tables of the scheduler service, and move `is_paused` from `dag` to `dag_cursor`."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, LongText, Prose

revision = "0003"
down_revision = "0002"

_TABLES = ("dag_cursor", "dag_version", "dag_file", "run_claim")


def upgrade() -> None:
    _create_cursor()
    _create_files_and_versions()
    op.create_table(
        "run_claim",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lease_expires_at", Instant()),
        sa.PrimaryKeyConstraint("dag_id", "run_id", name="pk_run_claim"),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_run_claim_owner", "run_claim", ["owner"])
    op.add_column("dag_run", sa.Column("is_served", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("INSERT INTO dag_cursor (dag_id, is_paused) SELECT dag_id, is_paused FROM dag")
    op.drop_column("dag", "is_paused")


def downgrade() -> None:
    op.add_column("dag", sa.Column("is_paused", sa.Boolean(), nullable=False, server_default=sa.false()))
    cursor = "SELECT is_paused FROM dag_cursor WHERE dag_cursor.dag_id = dag.dag_id"
    op.execute(f"UPDATE dag SET is_paused = ({cursor}) WHERE EXISTS ({cursor})")  # noqa: S608 - a constant
    op.drop_column("dag_run", "is_served")
    for name in _TABLES:
        op.drop_table(name)


def _create_cursor() -> None:
    op.create_table(
        "dag_cursor",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("next_logical_date", Instant()),
        sa.Column("next_run_at", Instant()),
        sa.Column("last_logical_date", Instant()),
        sa.Column("is_paused", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("max_active_runs", sa.Integer(), nullable=False, server_default="16"),
        sa.Column("structure_digest", Digest),
        sa.Column("version", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("blocked_reason", Prose),
        sa.PrimaryKeyConstraint("dag_id", name="pk_dag_cursor"),
        **OPTIONS,
    )
    op.create_index("ix_dag_cursor_next_run_at", "dag_cursor", ["next_run_at"])


def _create_files_and_versions() -> None:
    op.create_table(
        "dag_version",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("structure_digest", Digest, nullable=False),
        sa.Column("source_digest", Digest),
        sa.Column("first_seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("dag_id", "number", name="pk_dag_version"),
        sa.UniqueConstraint("dag_id", "structure_digest", name="uq_dag_version_dag_id_structure_digest"),
        **OPTIONS,
    )
    op.create_table(
        "dag_file",
        sa.Column("path_digest", Digest, nullable=False),
        sa.Column("path", LongText, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("helpers_digest", Digest),
        sa.Column("seconds", sa.Float()),
        sa.Column("parsed_at", Instant()),
        sa.Column("owner", sa.String(64)),
        sa.Column("lease_expires_at", Instant()),
        sa.PrimaryKeyConstraint("path_digest", name="pk_dag_file"),
        **OPTIONS,
    )
