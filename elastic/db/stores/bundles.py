"""Store of signed bundles by digest. The store does not verify them; the scheduler does before it runs one."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.matching import insert_if_absent
from elastic.db.schema import bundle as table
from elastic.db.sql_clock import now


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRow:
    """Archive of source code with its signature."""

    #: SHA-256 of the content, in hexadecimal digits
    digest: str
    #: name of the key that signed it
    signer: str
    signature: str
    #: `module:attribute`
    entry_point: str
    content: bytes = field(repr=False)


def store_bundle(database: Database, row: BundleRow, *, sign_again: bool = False) -> None:
    """Insert a bundle. If the digest exists, keep the old row, or replace its signature and entry point."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}

    def work(connection: Connection, _: bool) -> None:
        insertion = insert_if_absent(connection, table).values(created_at=now())
        if connection.execute(insertion, {**values, "size": len(row.content)}).rowcount == 1:
            audit.note(connection, "bundle kept", row.digest)
        elif sign_again:
            signed = {name: values[name] for name in ("signer", "signature", "entry_point")}
            connection.execute(update(table).where(table.c.digest == row.digest).values(signed))
            audit.note(connection, "bundle signed again", row.digest)

    database.write(work)


def bundle(database: Database, digest: str, *, max_bytes: int) -> BundleRow | None:
    """Return a bundle of at most `max_bytes`, or None; the content of a larger bundle is not read."""
    names = BundleRow.__dataclass_fields__
    query = select(*(table.c[name] for name in names)).where(table.c.digest == digest, table.c.size <= max_bytes)
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else BundleRow(**row._mapping)
