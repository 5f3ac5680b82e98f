"""Add the table `task_trigger`: conditions that attempts wait for without a process."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, LongText, Prose

revision = "0008"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "task_trigger",
        sa.Column("attempt_uuid", Digest, nullable=False),
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("task_id", Key, nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("arguments", LongText, nullable=False),
        sa.Column("question", Digest, nullable=False),
        sa.Column("connection", sa.String(250), nullable=False),
        sa.Column("settings", LongText, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("deadline", Instant()),
        sa.Column("next_check_at", Instant()),
        sa.Column("last_checked_at", Instant()),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("reason", Prose),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("answer", LongText),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_expires_at", Instant()),
        sa.PrimaryKeyConstraint("attempt_uuid", name="pk_task_trigger"),
        **OPTIONS,
    )
    op.create_index("ix_task_trigger_next_check_at", "task_trigger", ["next_check_at"])
    op.create_index("ix_task_trigger_run", "task_trigger", ["dag_id", "run_id"])


def downgrade() -> None:
    op.drop_table("task_trigger")
