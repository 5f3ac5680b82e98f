"""Add the column `callback` to task_attempt."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import Word

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("task_attempt", sa.Column("callback", Word))


def downgrade() -> None:
    op.drop_column("task_attempt", "callback")
