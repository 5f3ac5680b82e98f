"""Form that starts a run of a DAG with a date, an id and parameters."""

import json
from typing import Annotated, Any

from fastapi import Form
from starlette.requests import Request
from starlette.responses import Response

from elastic.core.errors import UsageError
from elastic.db.errors import RunExistsError
from elastic.db.records import DagRun
from elastic.db.stores.dags import DagRow
from elastic.scheduler.errors import ConfError, LogicalDateError
from elastic.service.run_waits import start_advice
from elastic.web.context import context_of
from elastic.web.errors import sentence_of
from elastic.web.flash import redirect
from elastic.web.pages.dag import common_values
from elastic.web.pages.lookups import dag_of, run_url, structure_of_dag
from elastic.web.query_values import QueryValues
from elastic.web.rendering import identity_of, render, zone_of
from elastic.web.routes import Router
from elastic.web.security.rights import Right
from elastic.web.structures import Structure
from elastic.web.trigger_dag import trigger_dag

router = Router()

#: Maximum number of characters of the parameters of a run.
_MAX_CONF = 64 * 1024


@router.get("/dags/{dag_id}/trigger", requires=Right.TRIGGER)
def trigger_form(request: Request, dag_id: str) -> Response:
    """Show the form that starts a run."""
    dag = dag_of(request, dag_id)
    values = common_values(request, dag, structure_of_dag(request, dag))
    return render(request, "trigger.html", **values, values=_EMPTY, problem="", field="")


@router.post("/dags/{dag_id}/trigger", requires=Right.TRIGGER)
def trigger(
    request: Request,
    dag_id: str,
    date: Annotated[str, Form()] = "",
    run_id: Annotated[str, Form()] = "",
    conf: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Queue a run of a DAG; show a refused form again with the typed values and the reason."""
    dag = dag_of(request, dag_id)
    found = structure_of_dag(request, dag)
    values = {"date": date, "run_id": run_id, "conf": conf}
    try:
        run = _triggered(request, dag, found, values)
    except _FormError as error:
        common = common_values(request, dag, found)
        return render(request, "trigger.html", 422, **common, values=values, problem=str(error), field=error.field)
    advice = start_advice(context_of(request).database, run, context_of(request).deployment.heartbeat)
    sentence = f"Run {run.run_id} of {dag_id} is {run.state}; {advice}."
    return redirect(request, back or run_url(dag_id, run.run_id), sentence)


_EMPTY = {"date": "", "run_id": "", "conf": "{}"}


class _FormError(Exception):
    """A field of the form is not valid."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def _triggered(request: Request, dag: DagRow, found: Structure | None, values: dict[str, str]) -> DagRun:
    _, zone = zone_of(request, identity_of(request))
    query = QueryValues(request, zone)
    date = query.parsed_date("date", values["date"])
    if query.notices:
        raise _FormError("date", f"The date {values['date'][:60]!r} is not valid; give one like 2026-11-29T02:00.")
    conf = _conf_of(values["conf"])
    try:
        return trigger_dag(request, dag.dag_id, found, date=date, run_id=values["run_id"].strip(), conf=conf)
    except (RunExistsError, LogicalDateError) as error:
        raise _FormError("date", sentence_of(error)) from error
    except ConfError as error:
        raise _FormError("conf", sentence_of(error)) from error
    except UsageError as error:
        raise _FormError("run_id", sentence_of(error)) from error


def _conf_of(text: str) -> dict[str, Any]:
    if len(text) > _MAX_CONF:
        raise _FormError("conf", f"The parameters are longer than {_MAX_CONF // 1024} KiB.")
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _FormError("conf", f"The parameters are not valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise _FormError("conf", 'The parameters must be a JSON object, such as {"full": true}.')
    return found
