"""Signed archives of source, for workers that have no DAG files."""

from sqlalchemy import Column, Integer, String, Table

from elastic.db.model.schema import OPTIONS, Digest, Instant, LongBytes, LongText, metadata

bundle = Table(
    "bundle",
    metadata,
    #: SHA-256 of the content
    Column("digest", Digest, primary_key=True),
    #: the name of the key that signed it
    Column("signer", String(250), nullable=False),
    Column("signature", LongText, nullable=False),
    #: `module:attribute`
    Column("entry_point", String(500), nullable=False),
    #: bytes
    Column("size", Integer, nullable=False),
    Column("content", LongBytes, nullable=False),
    Column("created_at", Instant, nullable=False),
    **OPTIONS,
)
