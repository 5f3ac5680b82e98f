"""Results of waits: what the end of a wait means for its attempt. No I/O."""

import json

from elastic.dag.errors import XComError
from elastic.dag.execution.wait import WaitStep
from elastic.dag.execution.xcom import RETURN_VALUE, encode_xcom
from elastic.dag.states.state import TaskState
from elastic.db.records import AttemptResult
from elastic.db.transitions import Checked, DueWait


def checked_of(wait: DueWait, following: WaitStep) -> Checked:
    """Return a wait with the result of its attempt, if the wait is over."""
    if following.check_in is not None:
        return Checked(wait, following)
    if following.answer is None:
        return Checked(wait, following, _failed(wait, following))
    try:
        value = encode_xcom(following.answer.value, task_id=wait.key.task_id)
    except XComError as error:
        return Checked(wait, following, _failed(wait, WaitStep(progress=following.progress, failure=str(error))))
    if wait.settings.continues:
        answer = json.dumps({"value": value, "reason": following.answer.reason})
        return Checked(wait, following, answer=answer)
    pushes = wait.settings.pushes_value and following.answer.value is not None
    return Checked(
        wait, following, _result(wait, TaskState.SUCCESS, None, xcoms={RETURN_VALUE: value} if pushes else {})
    )


def _failed(wait: DueWait, following: WaitStep) -> AttemptResult:
    settings = wait.settings
    if settings.soft_fail:
        return _result(wait, TaskState.SKIPPED, f"soft_fail: {following.failure}")
    if settings.retry_in is None or following.is_permanent:
        return _result(wait, TaskState.FAILED, following.failure)
    return _result(wait, TaskState.UP_FOR_RETRY, following.failure, retry_in=settings.retry_in)


def _result(
    wait: DueWait,
    state: TaskState,
    error: str | None,
    *,
    retry_in: float | None = None,
    xcoms: dict[str, str] | None = None,
) -> AttemptResult:
    return AttemptResult(
        attempt_uuid=wait.attempt_uuid,
        state=state,
        expected=TaskState.DEFERRED,
        error=error,
        retry_in=retry_in,
        callback=state if state in wait.settings.callbacks else None,
        xcoms=xcoms or {},
    )
