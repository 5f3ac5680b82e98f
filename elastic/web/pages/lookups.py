"""Lookups of the objects that URLs name; the error page of an unknown one lists similar ones."""

from urllib.parse import quote

from starlette.requests import Request

from elastic.dag.ids import TaskKey
from elastic.db import queries
from elastic.db.page_queries import instances
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.db.stores.dags import DagRow, dag_named
from elastic.web.context import context_of
from elastic.web.errors import NotFound
from elastic.web.structures import Structure, structure

#: Largest map index that the database can hold.
_MAX_INDEX = 2**31 - 1


def dag_url(dag_id: str) -> str:
    """Return the URL of a DAG."""
    return f"/dags/{quote(dag_id, safe='')}"


def run_url(dag_id: str, run_id: str) -> str:
    """Return the URL of a run."""
    return f"{dag_url(dag_id)}/runs/{quote(run_id, safe='')}"


def instance_url(key: TaskKey) -> str:
    """Return the URL of a task instance."""
    copy = f"/{key.map_index}" if key.map_index >= 0 else ""
    return f"{run_url(key.dag_id, key.run_id)}/tasks/{quote(key.task_id, safe='')}{copy}"


def dag_of(request: Request, dag_id: str) -> DagRow:
    """Return a stored DAG.

    Raises:
        NotFound: There is none.
    """
    database = context_of(request).database
    found = dag_named(database, dag_id) if dag_id.isascii() else None
    if found is None:
        raise NotFound("DAG", dag_id, [(one, dag_url(one)) for one in instances.near_dag_ids(database, dag_id)])
    return found


def run_of(request: Request, dag_id: str, run_id: str) -> DagRun:
    """Return a run.

    Raises:
        NotFound: There is none.
    """
    dag = dag_of(request, dag_id)
    database = context_of(request).database
    found = queries.run_of_id(database, dag.dag_id, run_id) if run_id.isascii() else None
    if found is None:
        near = [(one, run_url(dag_id, one)) for one in instances.near_run_ids(database, dag_id, run_id)]
        raise NotFound("run", run_id, near, of=f"DAG {dag_id!r}")
    return found


def instance_of(request: Request, key: TaskKey) -> tuple[DagRun, TaskInstanceRow | None]:
    """Return a run and one of its task instances; None for a mapped task as a whole.

    Raises:
        NotFound: There is no such run, task or copy.
    """
    run = run_of(request, key.dag_id, key.run_id)
    database = context_of(request).database
    is_valid = key.task_id.isascii() and -1 <= key.map_index <= _MAX_INDEX
    found = queries.instance(database, key) if is_valid else None
    if found is not None:
        return run, found
    if not instances.has_task(database, key):
        known = instances.near_task_ids(database, run.dag_id, run.run_id, key.task_id)
        near = [(one, instance_url(TaskKey(key.dag_id, key.run_id, one))) for one in known]
        raise NotFound("task", key.task_id, near, of=f"Run {run.run_id!r}")
    if key.map_index >= 0:
        whole = instance_url(TaskKey(key.dag_id, key.run_id, key.task_id))
        of = f"Task {key.task_id!r}"
        raise NotFound("copy", str(key.map_index), of=of, offered=[(f"all copies of {key.task_id}", whole)])
    return run, None


def structure_of_dag(request: Request, dag: DagRow) -> Structure | None:
    """Return the current structure of a DAG, or None if it has none."""
    return structure(context_of(request).database, dag.structure_digest)


def structure_of_run(request: Request, dag: DagRow, run: DagRun) -> Structure | None:
    """Return the structure with which a run started, else the current one of its DAG."""
    database = context_of(request).database
    return structure(database, run.structure_digest) or structure(database, dag.structure_digest)
