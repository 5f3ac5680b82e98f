"""Start of actions on flow runs by the page and by the API: verify, resume, redrive."""

from starlette.requests import Request

from elastic.core.errors import UsageError
from elastic.db import audit
from elastic.run_actions import ActionKind, RunAction, refusal, start
from elastic.web.context import context_of
from elastic.web.errors import Conflict, sentence_of
from elastic.web.pages.flow_requests import home_of, step_of
from elastic.web.rendering import identity_of


def start_action(request: Request, run_id: str, step: int, kind: ActionKind) -> RunAction:
    """Start an action on a step in a process of its own.

    Raises:
        Conflict: The state of the step does not allow the action, or another action of the run is running.
        WebError: There is no such run or step, or it cannot be read.
    """
    context, identity = context_of(request), identity_of(request)
    with step_of(request, run_id, step) as opened:
        counts = opened.reader.snapshot(step)
        refused = refusal(kind, opened.record, run_id, counts.letters - counts.redriven)
    if refused is not None:
        raise Conflict(refused)
    audit.record(context.database, f"flow_{kind}", f"run {run_id}, step {step}")
    owner = identity.username if identity is not None else ""
    try:
        return start(home_of(request), run_id, kind, step, owner=owner, now=context.clock())
    except UsageError as error:
        raise Conflict(sentence_of(error)) from error
