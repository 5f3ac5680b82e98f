"""People who may use the web pages."""

from sqlalchemy import Boolean, Column, String, Table, true

from elastic.db.model.schema import OPTIONS, Instant, Key, LongText, Word, metadata

user = Table(
    "user",
    metadata,
    Column("username", Key, primary_key=True),
    Column("role", Word, nullable=False),
    Column("email", String(250)),
    #: scrypt, never the password
    Column("password_hash", LongText),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)
