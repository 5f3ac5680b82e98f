"""Store of DAGs from DAG files, so that other processes can show them without importing user code."""

import datetime as dt
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.matching import insert_if_absent, same
from elastic.db.schema import dag, dag_code, dag_cursor, dag_structure, dag_version, import_error
from elastic.db.sql_clock import now


@dataclass(frozen=True, slots=True, kw_only=True)
class DagRow:
    """Row of a DAG from a DAG file."""

    dag_id: str
    fileloc: str
    owner: str | None = None
    description: str | None = None
    schedule: str | None = None
    #: tags separated by commas
    tags: str = ""
    task_count: int = 0
    concurrency: int = 0
    is_paused: bool = False
    is_active: bool = True
    source_digest: str | None = None
    structure_digest: str | None = None
    #: True if all DAGs of the file were stored together and the file has not changed since
    is_whole_file: bool = False


_COLUMNS = tuple(name for name in DagRow.__dataclass_fields__ if name != "is_whole_file")


@dataclass(frozen=True, slots=True)
class FoundDag:
    """DAG with its source and its structure (JSON), both stored by digest."""

    row: DagRow
    source: str = ""
    structure: str = ""
    #: True if every scan must load the file again
    is_reread: bool = False


def store_dag(database: Database, found: DagRow, *, source: str = "", structure: str = "") -> None:
    """Store one DAG of a file that may define others; see `store_dags`."""
    _store_all(database, [FoundDag(found, source, structure)], whole_files=False)


def store_dags(database: Database, found: Sequence[FoundDag]) -> None:
    """Store all DAGs of some files, all or none.

    `is_paused` is stored only with the first version of a DAG, in its cursor; later only users change it.
    """
    _store_all(database, found, whole_files=True)


def store_dags_in(connection: Connection, found: Sequence[FoundDag]) -> None:
    """Run `store_dags` within a transaction, and make the DAGs active."""
    for one in found:
        _store(connection, one, {"parsed_at": None if one.is_reread else now()})


def _store_all(database: Database, found: Sequence[FoundDag], *, whole_files: bool) -> None:
    def work(connection: Connection, _: bool) -> None:
        for one in found:
            if not whole_files:
                _mark_changed(connection, one.row)
            _store(connection, one, {"parsed_at": None if one.is_reread else now()} if whole_files else {})

    database.write(work)


def _mark_changed(connection: Connection, found: DagRow) -> None:
    """Clear `parsed_at` if the path or the source of the DAG's file has changed."""
    before = connection.execute(
        select(dag.c.fileloc, dag.c.source_digest).where(dag.c.dag_id == found.dag_id)
    ).one_or_none()
    if before is not None and tuple(before) != (found.fileloc, found.source_digest):
        connection.execute(update(dag).where(dag.c.dag_id == found.dag_id).values(parsed_at=None))


def _store(connection: Connection, found: FoundDag, more: Mapping[str, Any]) -> None:
    row = {name: getattr(found.row, name) for name in _COLUMNS}
    is_paused = row.pop("is_paused")
    fresh = {name: value for name, value in row.items() if name != "dag_id"}
    if found.source and found.row.source_digest:
        code = {"digest": found.row.source_digest, "fileloc": found.row.fileloc, "source": found.source}
        connection.execute(insert_if_absent(connection, dag_code).values(created_at=now()), code)
    if found.structure and found.row.structure_digest:
        text = {"digest": found.row.structure_digest, "dag_id": found.row.dag_id, "structure": found.structure}
        connection.execute(insert_if_absent(connection, dag_structure).values(created_at=now()), text)
    of_dag = dag.c.dag_id == found.row.dag_id
    shown = select(*(dag.c[name] for name in fresh)).where(of_dag)
    before = connection.execute(shown).one_or_none()
    if connection.execute(insert_if_absent(connection, dag).values(**more), row).rowcount != 1:
        connection.execute(update(dag).where(of_dag).values(**more, **fresh))
    if before is None or dict(before._mapping) != fresh:
        audit.note(connection, "DAG added" if before is None else "DAG changed", found.row.fileloc, found.row.dag_id)
    cursor = {"dag_id": found.row.dag_id, "is_paused": is_paused}
    connection.execute(insert_if_absent(connection, dag_cursor), cursor)
    if found.row.structure_digest:
        _number_version(connection, found.row)


def _number_version(connection: Connection, row: DagRow) -> None:
    """Give the structure of a DAG the next version number, unless it has one."""
    of_dag = dag_version.c.dag_id == row.dag_id
    known = select(dag_version.c.number).where(of_dag, dag_version.c.structure_digest == row.structure_digest)
    if connection.execute(known).one_or_none() is None:
        latest = connection.execute(select(func.max(dag_version.c.number)).where(of_dag)).scalar()
        new = {
            "dag_id": row.dag_id,
            "number": (latest or 0) + 1,
            "structure_digest": row.structure_digest,
            "source_digest": row.source_digest,
        }
        # A parser that numbers the same version at the same time wins; then this one is absent until the next store.
        connection.execute(insert_if_absent(connection, dag_version).values(first_seen_at=now()), new)


def dags(database: Database, *, active_only: bool = True) -> list[DagRow]:
    """Return the stored DAGs by id."""
    query = _WITH_CURSOR.order_by(dag.c.dag_id)
    query = query.where(dag.c.is_active.is_(True)) if active_only else query
    return [_dag_row(row) for row in database.query(lambda connection: connection.execute(query).all())]


def dag_named(database: Database, dag_id: str) -> DagRow | None:
    """Return the stored DAG with an id, even if no file defines it, or None."""
    query = _WITH_CURSOR.where(same(dag.c.dag_id, dag_id))
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else _dag_row(row)


_WITH_CURSOR = select(dag, dag_cursor.c.is_paused).outerjoin(dag_cursor, dag_cursor.c.dag_id == dag.c.dag_id)


def _dag_row(row: Any) -> DagRow:
    return DagRow(
        **{**{name: row._mapping[name] for name in _COLUMNS}, "is_paused": bool(row.is_paused)},
        is_whole_file=row.parsed_at is not None,
    )


def forget_missing(database: Database, dag_ids: Sequence[str]) -> None:
    """Mark all DAGs except these as inactive; their runs stay."""
    known = set(dag_ids)

    def work(connection: Connection, _: bool) -> None:
        active = connection.execute(select(dag.c.dag_id).where(dag.c.is_active.is_(True))).scalars().all()
        gone = [{"gone": dag_id} for dag_id in active if dag_id not in known]
        for row in gone:
            connection.execute(update(dag).where(dag.c.dag_id == row["gone"]).values(is_active=False))

    database.write(work)


def set_paused(database: Database, dag_id: str, *, paused: bool) -> None:
    """Pause or unpause a DAG.

    Raises:
        UnknownRowError: The DAG is not stored.
    """
    change = (
        update(dag_cursor)
        .where(dag_cursor.c.dag_id == dag_id)
        .values(is_paused=paused, version=dag_cursor.c.version + 1)
    )

    def work(connection: Connection, _: bool) -> None:
        if not connection.execute(change).rowcount:
            raise UnknownRowError("DAG", dag_id, "`elastic dags list` lists them")
        audit.note(connection, "paused" if paused else "unpaused", dag_id, dag_id)

    database.write(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorState:
    """Position of a DAG in its schedule, for views."""

    next_logical_date: dt.datetime | None
    next_run_at: dt.datetime | None
    is_paused: bool
    max_active_runs: int
    #: why the DAG has no dates; None if it has
    blocked_reason: str | None


def cursor_of(database: Database, dag_id: str) -> CursorState | None:
    """Return the position of a DAG in its schedule, or None if the DAG is not stored."""
    columns = [dag_cursor.c[name] for name in CursorState.__dataclass_fields__]
    query = select(*columns).where(dag_cursor.c.dag_id == dag_id)
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else CursorState(**{**row._mapping, "is_paused": bool(row.is_paused)})


def source_of(database: Database, digest: str) -> str | None:
    """Return the source with a digest, or None."""
    query = select(dag_code.c.source).where(dag_code.c.digest == digest)
    return database.query(lambda connection: connection.execute(query).scalar_one_or_none())


def structure_of(database: Database, digest: str) -> str | None:
    """Return the structure (JSON) with a digest, or None."""
    query = select(dag_structure.c.structure).where(dag_structure.c.digest == digest)
    return database.query(lambda connection: connection.execute(query).scalar_one_or_none())


def set_import_errors(database: Database, tracebacks: Mapping[str, str]) -> None:
    """Replace the stored import failures: tracebacks by path."""
    rows: list[dict[str, Any]] = [
        {"path_digest": hashlib.sha256(os.fsencode(path)).hexdigest(), "path": path, "traceback": traceback}
        for path, traceback in tracebacks.items()
    ]

    def work(connection: Connection, _: bool) -> None:
        connection.execute(delete(import_error))
        if rows:
            connection.execute(insert(import_error).values(at=now()), rows)

    database.write(work)


def import_errors(database: Database) -> dict[str, str]:
    """Return the stored import failures: tracebacks by path."""
    query = select(import_error.c.path, import_error.c.traceback).order_by(import_error.c.path)
    found = database.query(lambda connection: connection.execute(query).all())
    return {row.path: row.traceback for row in found}
