"""Task instances of flow runs, for pages."""

from dataclasses import dataclass

from sqlalchemy import select

from elastic.dag.ids import TaskKey
from elastic.db.database import Database
from elastic.db.schema import task_attempt

_attempt = task_attempt.c


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTask:
    """Task instance that ran a flow, and its host."""

    key: TaskKey
    host: str | None


def task_of_flow_run(database: Database, flow_run_id: str) -> FlowTask | None:
    """Return the task instance whose attempt ran a flow; None if no row names it.

    The column has no index, so this reads the whole table. Only the page of a run without a folder calls it.
    """
    if len(flow_run_id) > 250:
        return None
    columns = (_attempt.dag_id, _attempt.run_id, _attempt.task_id, _attempt.map_index, _attempt.host)
    statement = select(*columns).where(_attempt.flow_run_id == flow_run_id).limit(1)
    row = database.query(lambda connection: connection.execute(statement).first())
    if row is None:
        return None
    return FlowTask(key=TaskKey(row.dag_id, row.run_id, row.task_id, row.map_index), host=row.host)
