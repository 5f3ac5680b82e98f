"""Drop the column `channel` of the table `notification`, which follows from the recipient."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import Word

revision = "0014"
down_revision = "0008"


def upgrade() -> None:
    op.drop_column("notification", "channel")


def downgrade() -> None:
    op.add_column("notification", sa.Column("channel", Word, nullable=False, server_default="connection"))
    op.execute("UPDATE notification SET channel = 'mail' WHERE recipient LIKE 'mailto:%'")
