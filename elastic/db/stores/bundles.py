"""Signed archives of source by their digest. What they hold is not looked at here: whoever runs one checks it first."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.matching import insert_if_absent
from elastic.db.schema import bundle as table
from elastic.db.sql_clock import now


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRow:
    """An archive of source, with the signature that somebody gave it."""

    #: SHA-256 of the content, in hexadecimal digits
    digest: str
    #: the name of the key that signed it
    signer: str
    signature: str
    #: `module:attribute`
    entry_point: str
    content: bytes = field(repr=False)


def keep_bundle(database: Database, found: BundleRow, *, sign_again: bool = False) -> None:
    """Keep a bundle; one of the same digest stays as it is, or takes over the new signature and entry point."""
    row = {name: getattr(found, name) for name in found.__dataclass_fields__}

    def work(connection: Connection, _: bool) -> None:
        insertion = insert_if_absent(connection, table).values(created_at=now())
        if connection.execute(insertion, {**row, "size": len(found.content)}).rowcount == 1:
            audit.note(connection, "bundle kept", found.digest)
        elif sign_again:
            signed = {name: row[name] for name in ("signer", "signature", "entry_point")}
            connection.execute(update(table).where(table.c.digest == found.digest).values(signed))
            audit.note(connection, "bundle signed again", found.digest)

    database.write(work)


def bundle(database: Database, digest: str, *, largest: int) -> BundleRow | None:
    """Return a bundle that is no larger than so many bytes, or None; a larger one is not even read."""
    names = BundleRow.__dataclass_fields__
    query = select(*(table.c[name] for name in names)).where(table.c.digest == digest, table.c.size <= largest)
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else BundleRow(**row._mapping)
