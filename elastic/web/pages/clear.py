"""Clear task instances: a page that lists them, and the form that clears them."""

from typing import Annotated, Any

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.db.stores.dags import DagRow
from elastic.web.clear_instances import (
    REFUSAL_HINT,
    Clearing,
    clear_instances,
    clearing_of,
    first_instances,
    options_of,
)
from elastic.web.errors import BadRequest, Conflict, sentence_of
from elastic.web.flash import redirect
from elastic.web.pages.lookups import dag_of, dag_url, instance_url, run_of, run_url, structure_of_dag
from elastic.web.query_values import QueryValues
from elastic.web.rendering import render
from elastic.web.routes import Router
from elastic.web.security.rights import Right

router = Router()

#: Boxes of the form: name, text, and whether only a single task has it.
BOXES = (
    ("upstream", "upstream tasks", True),
    ("downstream", "downstream tasks", True),
    ("past", "past runs", False),
    ("future", "future runs", False),
    ("only_failed", "only failed", False),
)
#: Maximum number of instances that the page lists.
_MAX_LISTED = 200


@router.get("/dags/{dag_id}/clear", requires=Right.CLEAR)
def clear_form(request: Request, dag_id: str) -> Response:
    """Show the task instances that would be cleared."""
    dag = dag_of(request, dag_id)
    query = QueryValues(request)
    run = run_of(request, dag_id, query.text("run"))
    task = query.text("task")
    ticked = {name for name, _, _ in BOXES if query.flag(name)}
    if "asked" not in request.query_params and task:
        ticked.add("downstream")
    index = query.whole("map", -1, 0, 2**31 - 1)
    found = _clearing(request, dag, run, (task, index), ticked)
    return render(
        request,
        "clear.html",
        dag=dag,
        run=run,
        task=task,
        index=index,
        name=f"{task}[{index}]" if index >= 0 else task,
        boxes=[(name, text, name in ticked) for name, text, of_task in BOXES if task or not of_task],
        ticked=sorted(ticked),
        listed=[_row(one) for one in first_instances(request, found, _MAX_LISTED)],
        count=found.counts.instances,
        run_count=found.counts.runs,
        active=found.counts.active,
        refusal=found.refusal,
        refusal_hint=REFUSAL_HINT,
        query=query,
        address=f"{dag_url(dag_id)}/clear",
        dag_address=dag_url(dag_id),
        run_address=run_url(dag_id, run.run_id),
        back=_back(run, task, index),
    )


@router.post("/dags/{dag_id}/clear", requires=Right.CLEAR)
def clear(
    request: Request,
    dag_id: str,
    run: Annotated[str, Form()] = "",
    task: Annotated[str, Form()] = "",
    map_index: Annotated[str, Form(alias="map")] = "",
    tick: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Clear task instances."""
    dag = dag_of(request, dag_id)
    found_run = run_of(request, dag_id, run)
    if map_index and not (map_index.isascii() and map_index.isdecimal() and len(map_index) < 10):
        raise BadRequest("The map index is not valid.", "Go back and load the page again.")
    index = int(map_index) if map_index else -1
    ticked = {name for name, _, _ in BOXES if name in (tick or ())}
    cleared = clear_instances(request, _clearing(request, dag, found_run, (task, index), ticked))
    count = f"{len(cleared):,} task instance{' was' if len(cleared) == 1 else 's were'}"
    then = "They run again as soon as possible."
    if not found_run.is_served:
        # Masters ignore runs that a command started.
        then = f"Run them with `elastic backfill {dag_id} --runs {found_run.run_id}`."
    return redirect(request, _back(found_run, task, index), f"{count} cleared. {then}")


def _clearing(request: Request, dag: DagRow, run: DagRun, place: tuple[str, int], ticked: set[str]) -> Clearing:
    """Return the selection for a task and a map index (-1 for all copies) with the ticked boxes."""
    task, index = place
    boxes = {name: name in ticked for name, _, _ in BOXES}
    options = options_of(run, task_id=task or None, map_index=index if index >= 0 else None, **boxes)
    try:
        return clearing_of(request, dag.dag_id, structure_of_dag(request, dag), options)
    except UsageError as error:
        raise Conflict(sentence_of(error)) from error


def _row(one: TaskInstanceRow) -> dict[str, Any]:
    return {"name": one.key.task_name, "url": instance_url(one.key), "run_id": one.run_id, "state": one.state}


def _back(run: DagRun, task: str, index: int) -> str:
    from elastic.dag.ids import TaskKey

    return instance_url(TaskKey(run.dag_id, run.run_id, task, index)) if task else run_url(run.dag_id, run.run_id)
