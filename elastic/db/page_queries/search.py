"""Search for DAGs, tasks and runs by a part of their names. No query reads the runs or task instances of all DAGs."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from elastic.db.database import Database
from elastic.db.matching import holding, is_key_text, same
from elastic.db.records import DagRun, run_of
from elastic.db.schema import dag, dag_run, dag_structure

_run = dag_run.c

#: Maximum length of a searched string (characters).
MAX_TEXT = 250
#: Structures of DAGs that a search for tasks reads.
_MAX_STRUCTURES = 40


@dataclass(frozen=True, slots=True)
class FoundTask:
    """Task whose name matches."""

    dag_id: str
    task_id: str


@dataclass(frozen=True, slots=True)
class SearchHits:
    """Objects whose names match, of each kind the first ones."""

    dag_ids: Sequence[str]
    tasks: Sequence[FoundTask]
    runs: Sequence[DagRun]


def search(database: Database, text: str, *, day: dt.datetime | None = None, limit: int = 5) -> SearchHits:
    """Return objects whose names match a string.

    DAGs match by a substring of their ids, tasks of active DAGs by the beginning of the id or of its last part, and
    runs by the beginning of the id.

    Args:
        database: The database.
        text: The string.
        day: Runs whose logical date is on this day match as well; its first moment.
        limit: Maximum number of objects of each kind.
    """
    wanted = text.strip()[:MAX_TEXT]
    if not wanted or not is_key_text(wanted):
        return SearchHits((), (), ())

    def work(connection: Connection) -> SearchHits:
        dags = connection.execute(_dags(wanted, limit)).scalars().all()
        return SearchHits(dags, _tasks(connection, wanted, limit), _runs(connection, wanted, day, limit))

    return database.query(work)


def _dags(wanted: str, limit: int) -> Any:
    # An exact name comes first, then names that begin with the string.
    rank = case((same(dag.c.dag_id, wanted), 0), (dag.c.dag_id.startswith(wanted, autoescape=True), 1), else_=2)
    return select(dag.c.dag_id).where(holding(dag.c.dag_id, wanted)).order_by(rank, dag.c.dag_id).limit(limit)


def _tasks(connection: Connection, wanted: str, limit: int) -> list[FoundTask]:
    lowered = func.lower(dag_structure.c.structure)
    small = wanted.lower()
    whole = lowered.contains(f'"task_id": "{small}', autoescape=True)
    # An id within groups contains their names: `load.prices`.
    last = and_(lowered.contains('"task_id": "'), lowered.contains(f".{small}", autoescape=True))
    query = (
        select(dag.c.dag_id, dag_structure.c.structure)
        .join(dag_structure, dag_structure.c.digest == dag.c.structure_digest)
        .where(dag.c.is_active.is_(True), or_(whole, last))
        .order_by(case((whole, 0), else_=1), dag.c.dag_id)
        .limit(_MAX_STRUCTURES)
    )
    found = []
    for dag_id, structure in connection.execute(query):
        for task_id in _task_ids(structure):
            if task_id.lower().startswith(small) or task_id.rpartition(".")[2].lower().startswith(small):
                found.append(FoundTask(dag_id, task_id))
                if len(found) == limit:
                    return found
    return found


def _task_ids(structure: str) -> Iterator[str]:
    try:
        for task in json.loads(structure)["tasks"]:
            yield str(task["task_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return


def _runs(connection: Connection, wanted: str, day: dt.datetime | None, limit: int) -> list[DagRun]:
    found = []
    if day is not None:
        on_day = and_(_run.logical_date >= day, _run.logical_date < day + dt.timedelta(days=1))
        found += _latest(connection, on_day, limit)
    found += _latest(connection, _begins(connection, _run.run_id, wanted), limit, by_id=True)
    unique = {(run.dag_id, run.run_id): run for run in found}
    return list(unique.values())[:limit]


def _latest(connection: Connection, wanted: ColumnElement[bool], limit: int, *, by_id: bool = False) -> list[DagRun]:
    order: tuple[ColumnElement[Any], ...] = (_run.logical_date.desc(), _run.dag_id.desc())
    if by_id:
        # PostgreSQL's index for prefixes has no order of its locale, so it would sort all matches.
        order = () if connection.dialect.name == "postgresql" else (_run.run_id.desc(), _run.dag_id)
    return [run_of(row) for row in connection.execute(select(dag_run).where(wanted).order_by(*order).limit(limit))]


def _begins(connection: Connection, column: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """Match keys that begin with a string, so that the database reads them from an index."""
    if connection.dialect.name == "sqlite":
        # SQLite reads LIKE from no index, because it ignores case. Keys have only printable ASCII characters.
        return and_(column >= prefix, column < prefix + "\x7f")
    return column.startswith(prefix, autoescape=True)
