"""Store of DAG files: how each was last parsed, and with which result."""

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.matching import insert_if_absent
from elastic.db.schema import dag, import_error
from elastic.db.schema import dag_file as table
from elastic.db.sql_clock import now
from elastic.db.stores.dags import FoundDag, store_dags_in

#: Rows of one statement.
_BATCH_SIZE = 200

#: Stored time of a file that is parsed again although it has not changed.
_ASKED_AGAIN = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """State of a DAG file on disk."""

    path: str
    #: bytes, and nanoseconds since the epoch
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """Result of parsing a DAG file."""

    state: FileState
    #: None if the file could not be loaded, in which case its earlier DAGs stay
    dags: Sequence[FoundDag] | None
    #: sentence and traceback if the file, or one of its DAGs, could not be used
    error: str | None = None
    #: digest of the modules that the file may import; None if it imports none of them
    helpers_digest: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """DAG file as it was last parsed by any parser."""

    state: FileState
    helpers_digest: str | None


def claim_file(database: Database, state: FileState, owner: str, lease: float) -> bool:
    """Claim a DAG file for a parser, unless another one reads it; return whether it was claimed."""
    digest = path_digest(state.path)
    new = {"path_digest": digest, "path": state.path, "size": -1, "mtime_ns": -1}
    is_free = or_(table.c.lease_expires_at.is_(None), table.c.lease_expires_at < now(), table.c.owner == owner)
    change = update(table).where(table.c.path_digest == digest, is_free)

    def work(connection: Connection, _: bool) -> bool:
        connection.execute(insert_if_absent(connection, table), new)
        return connection.execute(change.values(owner=owner, lease_expires_at=now(lease))).rowcount == 1

    return database.write(work)


def file_owners(database: Database) -> list[str]:
    """Return the parsers that have claimed a file."""
    query = select(table.c.owner).where(table.c.owner.is_not(None)).distinct()
    return list(database.query(lambda connection: connection.execute(query).scalars().all()))


def release_files(database: Database, owner: str) -> None:
    """Give up the claims of a parser."""
    change = update(table).where(table.c.owner == owner).values(owner=None, lease_expires_at=None)
    database.write(lambda connection, _: connection.execute(change))


def known_files(database: Database, paths: Collection[str] | None = None) -> dict[str, KnownFile]:
    """Return the parsed DAG files by path: those of the given paths, or all."""
    query = select(table).where(table.c.parsed_at.is_not(None))
    if paths is not None:
        query = query.where(table.c.path_digest.in_([path_digest(path) for path in paths]))
    rows = database.query(lambda connection: connection.execute(query).all())
    return {
        row.path: KnownFile(
            state=FileState(path=row.path, size=row.size, mtime_ns=row.mtime_ns), helpers_digest=row.helpers_digest
        )
        for row in rows
    }


def homes_of(database: Database, dag_ids: Sequence[str]) -> dict[str, str]:
    """Return the files that define active DAGs, by DAG id."""
    query = select(dag.c.dag_id, dag.c.fileloc).where(dag.c.dag_id.in_(list(dag_ids)), dag.c.is_active.is_(True))
    rows = database.query(lambda connection: connection.execute(query).all()) if dag_ids else []
    return {row.dag_id: row.fileloc for row in rows}


def store_parsed(database: Database, parsed: ParsedFile) -> None:
    """Store the result of a parse and give up the claim, in one transaction.

    A DAG becomes inactive only if its file was loaded and no longer defines it. The DAGs of a file that cannot be
    loaded stay as they are. Changes of DAGs and of the error are logged, so that open pages follow them.
    """
    state, digest = parsed.state, path_digest(parsed.state.path)
    values = {
        "size": state.size,
        "mtime_ns": state.mtime_ns,
        "helpers_digest": parsed.helpers_digest,
        "seconds": parsed.seconds,
        "owner": None,
        "lease_expires_at": None,
    }

    def work(connection: Connection, _: bool) -> None:
        if parsed.dags is not None:
            store_dags_in(connection, parsed.dags)
            kept = [one.row.dag_id for one in parsed.dags]
            _deactivate(connection, and_(dag.c.fileloc == state.path, dag.c.dag_id.not_in(kept)))
        _store_error(connection, state.path, parsed.error)
        connection.execute(update(table).where(table.c.path_digest == digest).values(parsed_at=now(), **values))

    database.write(work)


def import_error_of(database: Database, path: str) -> str | None:
    """Return why a DAG file could not be loaded, or None if it was."""
    query = select(import_error.c.traceback).where(import_error.c.path_digest == path_digest(path))
    return database.query(lambda connection: connection.execute(query).scalar_one_or_none())


def parse_again(database: Database, path: str) -> bool:
    """Let the next scan parse a DAG file although it has not changed; return whether a parser has read it before."""
    change = update(table).where(table.c.path_digest == path_digest(path)).values(mtime_ns=_ASKED_AGAIN)

    def work(connection: Connection, _: bool) -> bool:
        is_known = bool(connection.execute(change).rowcount)
        if is_known:
            audit.note(connection, "parse again", path)
        return is_known

    return database.write(work)


def files_to_parse_again(database: Database) -> list[str]:
    """Return the files for which `parse_again` was called, and which no parser has read since."""
    query = select(table.c.path).where(table.c.mtime_ns == _ASKED_AGAIN, table.c.parsed_at.is_not(None))
    return database.query(lambda connection: list(connection.execute(query).scalars()))


def forget_files(database: Database, paths: Sequence[str]) -> None:
    """Forget files that no longer exist, and make their DAGs inactive; the runs of the DAGs stay."""

    def work(connection: Connection, _: bool) -> None:
        for at in range(0, len(paths), _BATCH_SIZE):
            batch = list(paths[at : at + _BATCH_SIZE])
            digests = [path_digest(path) for path in batch]
            _deactivate(connection, dag.c.fileloc.in_(batch))
            if connection.execute(delete(import_error).where(import_error.c.path_digest.in_(digests))).rowcount:
                audit.note(connection, "import errors gone", f"{len(batch)} files were deleted")
            connection.execute(delete(table).where(table.c.path_digest.in_(digests)))

    if paths:
        database.write(work)


def _deactivate(connection: Connection, wanted: ColumnElement[bool]) -> None:
    """Make the active ones of some DAGs inactive."""
    query = select(dag.c.dag_id, dag.c.fileloc).where(wanted, dag.c.is_active.is_(True)).order_by(dag.c.dag_id)
    for row in connection.execute(query).all():
        connection.execute(update(dag).where(dag.c.dag_id == row.dag_id).values(is_active=False))
        audit.note(connection, "DAG gone", f"no longer in {row.fileloc}", row.dag_id)


def _store_error(connection: Connection, path: str, error: str | None) -> None:
    """Replace the stored import error of a file; None for no error."""
    of_path = import_error.c.path_digest == path_digest(path)
    before = connection.execute(select(import_error.c.traceback).where(of_path)).scalar_one_or_none()
    connection.execute(delete(import_error).where(of_path))
    if error is not None:
        row: dict[str, Any] = {"path_digest": path_digest(path), "path": path, "traceback": error}
        connection.execute(insert(import_error).values(at=now()), row)
    if error != before:
        in_file = select(dag.c.dag_id).where(dag.c.fileloc == path, dag.c.is_active.is_(True)).order_by(dag.c.dag_id)
        for dag_id in (None, *connection.execute(in_file).scalars()):
            audit.note(connection, "import error" if error else "import error gone", path, dag_id)


def path_digest(path: str) -> str:
    """Return the digest of a path, which is the key of its row."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()
