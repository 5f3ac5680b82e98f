"""Add the table `idempotency_key`."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Digest, Instant, LongText

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("digest", Digest, nullable=False),
        sa.Column("request_digest", Digest, nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", LongText),
        sa.Column("body", LongText),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_idempotency_key"),
        **OPTIONS,
    )
    op.create_index("ix_idempotency_key_at", "idempotency_key", ["at"])


def downgrade() -> None:
    op.drop_table("idempotency_key")
