"""Add the queues and the parallelism of workers to the table `job`."""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import LongText

revision = "0010"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("job", sa.Column("queues", LongText))
    op.add_column("job", sa.Column("parallelism", sa.Integer()))


def downgrade() -> None:
    with op.batch_alter_table("job") as table:
        table.drop_column("parallelism")
        table.drop_column("queues")
