"""Add the table `backfill`."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Instant, Key, Label, Serial, Word

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "backfill",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("from_date", Instant(), nullable=False),
        sa.Column("to_date", Instant(), nullable=False),
        sa.Column("next_date", Instant()),
        sa.Column("max_active_runs", sa.Integer(), nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("owner", Label),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_backfill"),
        **OPTIONS,
    )
    op.create_index("ix_backfill_state", "backfill", ["state"])
    op.create_index("ix_backfill_dag_id", "backfill", ["dag_id"])


def downgrade() -> None:
    op.drop_table("backfill")
