"""Add the figures of masters to the table `job`."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import LongText

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("job", sa.Column("figures", LongText))


def downgrade() -> None:
    with op.batch_alter_table("job") as table:
        table.drop_column("figures")
