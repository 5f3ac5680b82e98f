"""Tables of connections (encrypted password and extra settings) and variables.

All values of variables are encrypted, because any of them may be a secret.
"""

from sqlalchemy import Column, Integer, String, Table

from elastic.db.schema.types import OPTIONS, Key, LongText, metadata

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


variable = Table(
    "variable",
    metadata,
    Column("key", Key, primary_key=True),
    Column("value", LongText, nullable=False),
    Column("description", LongText),
    **OPTIONS,
)
