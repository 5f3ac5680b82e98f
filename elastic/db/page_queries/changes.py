"""Changes since a moment, from the audit log, which has a row for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from elastic.db.database import Database
from elastic.db.schema import log

#: Ids before the last one that each call reads again. A transaction takes the ids of its rows before it commits, so
#: on a database with several writers a row may appear after rows with larger ids.
_OVERLAP = 500
#: Rows that one call reads; of more changes, all DAGs count as changed.
_MAX_ROWS = 2000 + _OVERLAP


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Position of a reader in the log."""

    #: largest id that it has read; 0 for none
    last_id: int
    #: ids of the overlap that it has read
    read_ids: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChanges:
    """Changes that rows of the log name."""

    #: where the next call goes on
    position: LogPosition
    #: DAGs that changed
    dag_ids: frozenset[str]
    #: DAGs that changed themselves: their files, or whether they are paused
    definitions: frozenset[str]
    #: ids of changed runs: DAG and run
    runs: frozenset[tuple[str, str]]
    #: whether other objects changed, such as pools
    others: bool
    #: whether there were too many changes to list
    is_cut: bool


def end_of_log(database: Database) -> LogPosition:
    """Return the position behind all rows that the log has."""
    query = select(func.coalesce(func.max(log.c.id), 0))
    last_id = int(database.query(lambda connection: connection.execute(query).scalar_one()))
    return changes_after(database, LogPosition(last_id, frozenset())).position


def changes_after(database: Database, position: LogPosition) -> LoggedChanges:
    """Return the changes that the log has, and that were not read up to a position."""
    columns = (log.c.id, log.c.dag_id, log.c.run_id)
    overlap = log.c.id > position.last_id - _OVERLAP
    query = select(*columns).where(overlap).order_by(log.c.id.desc()).limit(_MAX_ROWS)

    def work(connection: Connection) -> Sequence[tuple[int, str | None, str | None]]:
        return [tuple(row) for row in connection.execute(query)]

    found = database.query(work)
    last_id = max(position.last_id, found[0][0] if found else 0)
    rows = [row for row in found if row[0] not in position.read_ids]
    return LoggedChanges(
        position=LogPosition(last_id, frozenset(number for number, _, _ in found if number > last_id - _OVERLAP)),
        dag_ids=frozenset(dag_id for _, dag_id, _ in rows if dag_id),
        definitions=frozenset(dag_id for _, dag_id, run_id in rows if dag_id and run_id is None),
        runs=frozenset((dag_id, run_id) for _, dag_id, run_id in rows if dag_id and run_id),
        others=any(dag_id is None for _, dag_id, _ in rows),
        is_cut=len(found) == _MAX_ROWS,
    )
