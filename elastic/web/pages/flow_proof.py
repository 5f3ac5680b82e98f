"""Proof of a step, and the actions on a run: verify, resume, redrive."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from elastic.core.text import one_line
from elastic.run_actions import ActionKind, ActionState, RunAction, actions_of, find, log_of, output_of
from elastic.run_views.open_step import OpenStep
from elastic.web.flash import redirect
from elastic.web.flow_actions import start_action
from elastic.web.pages.flow_requests import MissingError, step_of
from elastic.web.pages.flow_step import StepNumber
from elastic.web.rendering import render
from elastic.web.routes import Router
from elastic.web.secrets import masked_text
from elastic.web.security.rights import Right
from elastic.web.views import amounts, flow_labels
from elastic.web.views.flow_states import sign_of_action, sign_of_step

router = Router()

#: Maximum number of findings, and of notes, on the page.
_MAX_FINDINGS = 200
_MAX_TEXT = 1_000
_DONE = {
    ActionKind.VERIFY: "The verification has started.",
    ActionKind.RESUME: "The run is being resumed.",
    ActionKind.REDRIVE: "The dead letters are being redriven.",
}


@router.get("/flows/{run_id}/{step}/proof", requires=Right.READ)
def proof_page(request: Request, run_id: str, step: StepNumber) -> Response:
    """Show the result of the last verification."""
    with step_of(request, run_id, step) as opened:
        actions = actions_of(opened.home, run_id)
        latest = next((one for one in actions if has_verified(one)), None)
        running = next((one for one in actions if one.state is ActionState.RUNNING), None)
        output = None if latest is None else output_of(opened.home, run_id, latest.action_id)
        return render(
            request,
            "flow_proof.html",
            run_id=run_id,
            step=step,
            record=opened.record,
            damages=opened.damages,
            sign=sign_of_step(opened.record.state),
            latest=latest,
            running=running,
            proof=proof_of(opened, output),
            is_unreadable=latest is not None and output is None,
            actions=actions,
            sign_of_action=sign_of_action,
            crumbs=flow_labels.crumbs_of(opened.record, run_id, request.app.state.addresses, ("proof", "")),
            amounts=amounts,
        )


@router.get("/flows/{run_id}/{step}/actions/{action_id}", requires=Right.READ)
def action_page(request: Request, run_id: str, step: StepNumber, action_id: str) -> Response:
    """Show an action with its log."""
    with step_of(request, run_id, step) as opened:
        action = action_of(opened, action_id)
        below = [("proof", f"/flows/{run_id}/{step}/proof"), (action.kind.value, "")]
        return render(
            request,
            "flow_action.html",
            run_id=run_id,
            step=step,
            record=opened.record,
            action=action,
            sign=sign_of_action(action.state),
            log=masked_text(log_of(opened.home, run_id, action_id)),
            crumbs=flow_labels.crumbs_of(opened.record, run_id, request.app.state.addresses, *below),
            amounts=amounts,
        )


def action_of(opened: OpenStep, action_id: str) -> RunAction:
    """Return an action of the run of a step.

    Raises:
        MissingError: There is none.
    """
    found = find(opened.home, opened.run_id, action_id)
    if found is None:
        base = f"/flows/{opened.run_id}/{opened.number}/actions"
        near = [(one.action_id, f"{base}/{one.action_id}") for one in actions_of(opened.home, opened.run_id)[:5]]
        raise MissingError(f"Run {opened.run_id} has no action {action_id[:60]!r}.", "", near)
    return found


@router.post("/flows/{run_id}/{step}/verify", requires=Right.REDRIVE)
def verify(request: Request, run_id: str, step: StepNumber) -> Response:
    """Verify a step in a process of its own."""
    return _started(request, run_id, step, ActionKind.VERIFY)


@router.post("/flows/{run_id}/{step}/resume", requires=Right.REDRIVE)
def resume(request: Request, run_id: str, step: StepNumber) -> Response:
    """Resume a step in a process of its own."""
    return _started(request, run_id, step, ActionKind.RESUME)


@router.post("/flows/{run_id}/{step}/redrive", requires=Right.REDRIVE)
def redrive(request: Request, run_id: str, step: StepNumber) -> Response:
    """Redrive the dead letters of a step in a process of its own."""
    return _started(request, run_id, step, ActionKind.REDRIVE)


def _started(request: Request, run_id: str, step: int, kind: ActionKind) -> Response:
    action = start_action(request, run_id, step, kind)
    return redirect(request, f"/flows/{run_id}/{step}/actions/{action.action_id}", _DONE[kind])


def has_verified(action: RunAction) -> bool:
    """Return whether an action verified its run to the end."""
    return action.kind is ActionKind.VERIFY and action.exit_code in (0, 1)


def proof_of(opened: OpenStep, output: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the output of a verification about this step as strings and numbers; None if there is none."""
    if output is None:
        return None
    steps = output.get("steps") if isinstance(output.get("steps"), list) else []
    findings = output.get("findings") if isinstance(output.get("findings"), list) else []
    of_step = next((one for one in steps or () if isinstance(one, dict) and one.get("step") == opened.number), {})
    notes = of_step.get("notes") if isinstance(of_step.get("notes"), list) else []
    found = [
        {
            "what": _text(one.get("what")),
            "first": _number(one.get("first")),
            "stop": _number(one.get("stop")),
            "step": _number(one.get("step")),
        }
        for one in findings or ()
        if isinstance(one, dict)
    ]
    return {
        "ok": output.get("ok") is True,
        "root": _text(of_step.get("root")),
        "receipts_root": _text(of_step.get("receipts_root")),
        **{name: _number(of_step.get(name)) for name in ("entries", "chunks", "errors", "chunks_recomputed")},
        "notes": [_text(note) for note in (notes or [])[:_MAX_FINDINGS]],
        "findings": found[:_MAX_FINDINGS],
        "more": max(0, len(found) - _MAX_FINDINGS),
    }


def _text(value: Any) -> str:
    return one_line(value)[:_MAX_TEXT] if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 62 else None
