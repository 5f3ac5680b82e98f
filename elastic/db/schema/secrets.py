"""Tables of connections (encrypted password and extra settings), users, and variables.

All values of variables are encrypted, because nothing marks those that are secrets.
"""

from sqlalchemy import Boolean, Column, Integer, String, Table, true

from elastic.db.schema.types import OPTIONS, Instant, Key, LongText, Word, metadata

connection = Table(
    "connection",
    metadata,
    Column("conn_id", Key, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("host", String(500)),
    Column("login", String(500)),
    Column("password", LongText),
    #: name of the database, or path of its file
    Column("schema", LongText),
    Column("port", Integer),
    Column("extra", LongText),
    Column("description", LongText),
    **OPTIONS,
)


user = Table(
    "user",
    metadata,
    Column("username", Key, primary_key=True),
    Column("role", Word, nullable=False),
    Column("email", String(250)),
    #: scrypt hash
    Column("password_hash", LongText),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)


variable = Table(
    "variable",
    metadata,
    Column("key", Key, primary_key=True),
    Column("value", LongText, nullable=False),
    Column("description", LongText),
    **OPTIONS,
)
