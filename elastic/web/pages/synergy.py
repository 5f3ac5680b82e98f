"""Addresses of Synergy, answered with JSON: a flow is a DAG, a timeperiod one of its runs, a step a task of the run."""

from typing import Annotated, Any

from fastapi import Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.dag.states.synergy import flow_state_of
from elastic.db import queries
from elastic.db.records import DagRun, LogLine, RunMode, TaskInstanceRow
from elastic.web.api.answers import answer, plain
from elastic.web.context import context_of
from elastic.web.errors import BadRequest, NotFound
from elastic.web.pages.lookups import dag_of, instance_url, run_url
from elastic.web.rerun_run import rerun
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import Right

router = Router(prefix="/flow")

#: Maximum number of lines in the response for a log.
_MAX_LINES = 10_000

FlowName = Annotated[str, Query(max_length=250)]
Timeperiod = Annotated[str, Query(max_length=250)]
StepName = Annotated[str, Query(max_length=250)]
FormText = Annotated[str, Form(max_length=250)]


@router.get("/flow/details/", requires=Right.READ)
def flow_details(request: Request, flow_name: FlowName, timeperiod: Timeperiod) -> Response:
    """Return the state of a flow and of its steps."""
    run = _run_of(request, flow_name, timeperiod)
    return answer(request, _flow(request, run))


@router.get("/step/details/", requires=Right.READ)
def step_details(request: Request, flow_name: FlowName, timeperiod: Timeperiod, step_name: StepName) -> Response:
    """Return the state of a step: one entry for each of its copies."""
    run = _run_of(request, flow_name, timeperiod)
    return answer(request, {"steps": [_step(one) for one in _steps_of(request, run, step_name)]})


@router.get("/flow/log/", requires=Right.READ)
def flow_log(request: Request, flow_name: FlowName, timeperiod: Timeperiod) -> Response:
    """Return the last lines that the run of a flow logged to the database, without those of its steps."""
    run = _run_of(request, flow_name, timeperiod)
    found = queries.log_lines(_database(request), run.dag_id, run.run_id, limit=_MAX_LINES)
    return answer(request, {"log": _lines(found)})


@router.get("/step/log/", requires=Right.READ)
def step_log(request: Request, flow_name: FlowName, timeperiod: Timeperiod, step_name: StepName) -> Response:
    """Return the last lines that a step logged to the database."""
    run = _run_of(request, flow_name, timeperiod)
    _steps_of(request, run, step_name)
    found = queries.log_lines(_database(request), run.dag_id, run.run_id, task_id=step_name, limit=_MAX_LINES)
    return answer(request, {"log": _lines(found)})


@router.get("/viewer/", requires=Right.READ)
def viewer(request: Request, flow_name: FlowName, timeperiod: Timeperiod) -> Response:
    """Redirect to the graph of a run."""
    run = _run_of(request, flow_name, timeperiod)
    return RedirectResponse(f"{run_url(run.dag_id, run.run_id)}?view=graph", 303)


@router.post("/run/mode/", requires=Right.CLEAR)
def run_mode(request: Request, flow_name: FormText, timeperiod: FormText, run_mode: FormText = "nominal") -> Response:
    """Run a finished flow again: all of it (nominal), or what is not done (recovery)."""
    modes = {"nominal": RunMode.NOMINAL, "run_mode_nominal": RunMode.NOMINAL, "recovery": RunMode.RECOVERY}
    mode = {**modes, "run_mode_recovery": RunMode.RECOVERY}.get(run_mode)
    if mode is None:
        raise BadRequest(f"{run_mode!r} is no mode of a flow.", "Give nominal or recovery.")
    return _rerun(request, _run_of(request, flow_name, timeperiod), mode)


@router.post("/run/one_step/", requires=Right.CLEAR)
def run_one_step(request: Request, flow_name: FormText, timeperiod: FormText, step_name: FormText) -> Response:
    """Run one step of a finished flow again."""
    return _rerun(request, _run_of(request, flow_name, timeperiod), RunMode.RUN_ONE, step_name)


@router.post("/run/from_step/", requires=Right.CLEAR)
def run_from_step(request: Request, flow_name: FormText, timeperiod: FormText, step_name: FormText) -> Response:
    """Run a step of a finished flow and all steps after it again."""
    return _rerun(request, _run_of(request, flow_name, timeperiod), RunMode.RUN_FROM, step_name)


def _rerun(request: Request, run: DagRun, mode: RunMode, step_name: str | None = None) -> Response:
    made, count = rerun(request, run, mode, step_name)
    return answer(request, {"flow": _flow(request, made), "mode": mode, "steps_to_run": count})


def _run_of(request: Request, flow_name: str, timeperiod: str) -> DagRun:
    dag, database = dag_of(request, flow_name), _database(request)
    found = None
    if timeperiod.isascii():
        found = queries.run_of_timeperiod(database, dag.dag_id, timeperiod)
        found = found or queries.run_of_id(database, dag.dag_id, timeperiod)
    if found is None:
        raise NotFound("run", timeperiod, of=f"DAG {dag.dag_id!r}")
    return found


def _steps_of(request: Request, run: DagRun, step_name: str) -> list[TaskInstanceRow]:
    found = [one for one in _instances(request, run) if one.task_id == step_name]
    if not found:
        raise NotFound("task", step_name, of=f"run {run.run_id!r} of DAG {run.dag_id!r}")
    return found


def _flow(request: Request, run: DagRun) -> dict[str, Any]:
    rows = _instances(request, run)
    state = flow_state_of(run.state, did_work=any(one.state is TaskState.SUCCESS for one in rows))
    return {
        "flow_name": run.dag_id,
        "timeperiod": run.timeperiod,
        "run_id": run.run_id,
        "state": state,
        "created_at": plain(run.data_interval_end),
        "started_at": plain(run.started_at),
        "finished_at": plain(run.ended_at),
        "steps": [_step(one) for one in rows],
    }


def _step(one: TaskInstanceRow) -> dict[str, Any]:
    return {
        "step_name": one.task_id,
        "map_index": one.map_index,
        "state": flow_state_of(one.state),
        "task_state": one.state,
        "try_number": one.try_number,
        "started_at": plain(one.started_at),
        "finished_at": plain(one.ended_at),
        "duration": one.duration,
        "url": instance_url(TaskKey(one.key.dag_id, one.key.run_id, one.task_id, one.map_index)),
    }


def _lines(found: list[LogLine]) -> list[str]:
    return [masked_text(f"{plain(one.at)} {one.level} {one.message}") for one in found]


def _instances(request: Request, run: DagRun) -> list[TaskInstanceRow]:
    return queries.instances(_database(request), run.dag_id, [run.run_id])


def _database(request: Request) -> Any:
    return context_of(request).database
