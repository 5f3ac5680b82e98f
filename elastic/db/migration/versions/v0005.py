"""Add the tables of users, sessions and API tokens, and the client address to the log.

They replace the unused table `user`.
"""

import sqlalchemy as sa
from alembic import op

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, Label, LongText, Serial, Word

revision = "0005"
down_revision = "0004"

_TABLES = ("user_account", "session", "api_token", "login_try")


def upgrade() -> None:
    op.drop_table("user")
    _create_users()
    _create_tokens()
    op.add_column("log", sa.Column("address", Label))


def downgrade() -> None:
    op.drop_column("log", "address")
    for name in _TABLES:
        op.drop_table(name)
    op.create_table(
        "user",
        sa.Column("username", Key, nullable=False),
        sa.Column("role", Word, nullable=False),
        sa.Column("email", sa.String(length=250)),
        sa.Column("password_hash", LongText),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_user"),
        **OPTIONS,
    )


def _create_users() -> None:
    op.create_table(
        "user_account",
        sa.Column("username", Key, nullable=False),
        sa.Column("role", Word, nullable=False),
        sa.Column("password_hash", LongText, nullable=False),
        sa.Column("is_password_initial", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("zone", sa.String(64)),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("logged_in_at", Instant()),
        sa.PrimaryKeyConstraint("username", name="pk_user_account"),
        **OPTIONS,
    )
    op.create_table(
        "session",
        sa.Column("digest", Digest, nullable=False),
        sa.Column("username", Key, nullable=False),
        sa.Column("address", Label),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_session"),
        **OPTIONS,
    )
    op.create_index("ix_session_username", "session", ["username"])


def _create_tokens() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("digest", Digest, nullable=False),
        sa.Column("username", Key, nullable=False),
        sa.Column("name", Label, nullable=False),
        sa.Column("role", Word, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant()),
        sa.Column("used_at", Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("digest", name="uq_api_token_digest"),
        **OPTIONS,
    )
    op.create_index("ix_api_token_username", "api_token", ["username"])
    op.create_table(
        "login_try",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("account", Digest, nullable=False),
        sa.Column("address", Digest, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_try"),
        **OPTIONS,
    )
    op.create_index("ix_login_try_address", "login_try", ["address", "at"])
