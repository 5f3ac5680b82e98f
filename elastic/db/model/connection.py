"""How other systems are reached. The password and the extra settings are encrypted."""

from sqlalchemy import Column, Integer, String, Table

from elastic.db.model.schema import OPTIONS, Key, LongText, metadata

connection = Table(
    "connection",
    metadata,
    Column("conn_id", Key, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("host", String(500)),
    Column("login", String(500)),
    Column("password", LongText),
    #: the name of the database, or the path of its file
    Column("schema", LongText),
    Column("port", Integer),
    Column("extra", LongText),
    Column("description", LongText),
    **OPTIONS,
)
