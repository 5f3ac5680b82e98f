"""Add the table `notification`."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, LongText, Prose, Serial, Word, Writable

revision = "0009"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "notification",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("dedup_key", Digest, nullable=False),
        sa.Column("message_key", Digest, nullable=False),
        sa.Column("event", Word, nullable=False),
        sa.Column("channel", Word, nullable=False),
        sa.Column("recipient", LongText, nullable=False),
        sa.Column("dag_id", Key, nullable=False),
        sa.Column("run_id", Key, nullable=False),
        sa.Column("task_id", Key),
        sa.Column("map_index", sa.Integer()),
        sa.Column("subject", Writable(500), nullable=False),
        sa.Column("facts", LongText, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("next_try_at", Instant(), nullable=False),
        sa.Column("sent_at", Instant()),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("last_error", Prose),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sa.UniqueConstraint("dedup_key", name="uq_notification_dedup_key"),
        **OPTIONS,
    )
    op.create_index("ix_notification_state_next_try_at", "notification", ["state", "next_try_at"])
    op.create_index("ix_notification_state_sent_at", "notification", ["state", "sent_at"])
    op.create_index("ix_notification_message_key", "notification", ["message_key"])
    op.create_index("ix_notification_dag_id_run_id", "notification", ["dag_id", "run_id"])


def downgrade() -> None:
    op.drop_table("notification")
