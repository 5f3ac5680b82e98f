"""LoggedChanges since a moment, from the audit log, which has a row for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from elastic.db.database import Database
from elastic.db.schema import log

#: Rows that one call reads; of more changes, all DAGs count as changed.
_MAX_ROWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChanges:
    """LoggedChanges after a row of the log."""

    #: id of the last row
    last_id: int
    #: DAGs that changed
    dag_ids: frozenset[str]
    #: runs that changed: DAG and run
    runs: frozenset[tuple[str, str]]
    #: whether other things changed, such as pools
    others: bool
    #: whether there were too many changes to name
    is_cut: bool


def last_change(database: Database) -> int:
    """Return the id of the last row of the log; 0 if it is empty."""
    query = select(func.coalesce(func.max(log.c.id), 0))
    return int(database.query(lambda connection: connection.execute(query).scalar_one()))


def changes_after(database: Database, last_id: int) -> LoggedChanges:
    """Return what changed after a row of the log."""
    columns = (log.c.id, log.c.dag_id, log.c.run_id)
    query = select(*columns).where(log.c.id > last_id).order_by(log.c.id.desc()).limit(_MAX_ROWS)

    def work(connection: Connection) -> Sequence[tuple[int, str | None, str | None]]:
        return [tuple(row) for row in connection.execute(query)]

    rows = database.query(work)
    return LoggedChanges(
        last_id=rows[0][0] if rows else last_id,
        dag_ids=frozenset(dag_id for _, dag_id, _ in rows if dag_id),
        runs=frozenset((dag_id, run_id) for _, dag_id, run_id in rows if dag_id and run_id),
        others=any(dag_id is None for _, dag_id, _ in rows),
        is_cut=len(rows) == _MAX_ROWS,
    )
