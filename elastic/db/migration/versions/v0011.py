"""Add the table `deadline`, and mark late runs."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Instant, Key, LongText, Serial, Word

revision = "0011"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "deadline",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("task_id", Key),
        sa.Column("counts_after", Word, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("notify", LongText, nullable=False),
        sa.Column("due_at", Instant()),
        sa.Column("state", Word, nullable=False),
        sa.Column("missed_at", Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_deadline"),
        **OPTIONS,
    )
    op.create_index("ix_deadline_state_due_at", "deadline", ["state", "due_at"])
    op.create_index("ix_deadline_dag_id_run_id", "deadline", ["dag_id", "run_id"])
    op.add_column("dag_run", sa.Column("is_late", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("dag_run") as table:
        table.drop_column("is_late")
    op.drop_table("deadline")
