"""Add the table `run_callback`, and an index of the callbacks of attempts."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Instant, Key, Word

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "run_callback",
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("next_call_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("dag_id", "run_id", "attempt", name="pk_run_callback"),
        sqlite_with_rowid=False,
        **OPTIONS,
    )
    op.create_index("ix_run_callback_next_call_at", "run_callback", ["next_call_at"])
    op.create_index("ix_task_attempt_callback", "task_attempt", ["callback"])


def downgrade() -> None:
    op.drop_index("ix_task_attempt_callback", "task_attempt")
    op.drop_table("run_callback")
