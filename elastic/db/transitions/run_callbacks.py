"""Callbacks of runs that ended: a row is written with the final state, and deleted after the callbacks were called.

The process that ends a run calls its callbacks. If the row is still there after a while, another process takes it.
"""

from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, and_, delete, literal, select, update

from elastic.dag.states.state import RunState
from elastic.db.database import Database
from elastic.db.schema import dag_run, run_callback
from elastic.db.sql_clock import now

_callback, _run = run_callback.c, dag_run.c

#: Seconds during which only the process that took the callbacks may begin to call them.
_BEGIN_SECONDS = 60.0

#: Rows that one sweep takes.
_LIMIT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCallback:
    """Callbacks of a run that ended, which are due."""

    dag_id: str
    run_id: str
    #: number of the rerun of the run
    attempt: int
    state: RunState
    #: processes that took them, this one included
    calls: int = 1


def add_in(connection: Connection, dag_id: str, run_id: str, state: RunState) -> None:
    """Store within the transaction that ends a run that its callbacks are due, for the process that ends it."""
    connection.execute(delete(run_callback).where(_callback.dag_id == dag_id, _callback.run_id == run_id))
    columns = [one.name for one in run_callback.columns]
    row = select(_run.dag_id, _run.run_id, _run.attempt, literal(str(state)), literal(1), now(_BEGIN_SECONDS)).where(
        _run.dag_id == dag_id, _run.run_id == run_id
    )
    connection.execute(run_callback.insert().from_select(columns, row))


def begin_run_callbacks(database: Database, due: RunCallback, seconds: float) -> bool:
    """Begin to call the callbacks of a run.

    Args:
        database: The database.
        due: The callbacks.
        seconds: Seconds after which another process may call them, unless they were finished.

    Returns:
        False if another process has taken them. The caller must not call them then.
    """
    change = update(run_callback).where(_is(due)).values(next_call_at=now(seconds))
    return database.write(lambda connection, _: connection.execute(change).rowcount == 1)


def finish_run_callbacks(database: Database, due: RunCallback) -> None:
    """Store that the callbacks of a run were called."""
    database.write(lambda connection, _: connection.execute(delete(run_callback).where(_is(due))))


def take_run_callbacks(database: Database, *, dag_id: str | None = None) -> list[RunCallback]:
    """Take callbacks that the process which took them before has not called in time.

    Args:
        database: The database.
        dag_id: Those of the runs that commands made of this DAG; None for those of all runs of the service.
    """
    run = select(_run.dag_id).where(_run.dag_id == _callback.dag_id, _run.run_id == _callback.run_id)
    run = run.where(_run.is_served.is_(dag_id is None)).correlate(run_callback)
    late = select(run_callback).where(_callback.next_call_at < now(), run.exists())
    if dag_id is not None:
        late = late.where(_callback.dag_id == dag_id)
    late = late.order_by(_callback.next_call_at).limit(_LIMIT)

    def read(connection: Connection) -> list[RunCallback]:
        return [
            RunCallback(
                dag_id=row.dag_id, run_id=row.run_id, attempt=row.attempt, state=RunState(row.state), calls=row.calls
            )
            for row in connection.execute(late)
        ]

    def work(connection: Connection, _: bool) -> list[RunCallback]:
        values = {"calls": _callback.calls + 1, "next_call_at": now(_BEGIN_SECONDS)}
        return [
            replace(due, calls=due.calls + 1)
            for due in read(connection)
            if connection.execute(update(run_callback).where(_is(due)).values(**values)).rowcount
        ]

    # There are rarely any, and a query does not keep others from writing.
    return database.write(work) if database.query(read) else []


def _is(due: RunCallback) -> ColumnElement[bool]:
    same = and_(_callback.dag_id == due.dag_id, _callback.run_id == due.run_id, _callback.attempt == due.attempt)
    return and_(same, _callback.calls == due.calls)
