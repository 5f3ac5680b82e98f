"""Mark of task instances as successful or failed, and their end by force, by pages and by the API."""

from dataclasses import dataclass

from starlette.requests import Request

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import transitions
from elastic.db.page_queries import instances
from elastic.web.clear_instances import MAX_CLEARED
from elastic.web.context import context_of
from elastic.web.errors import Conflict
from elastic.web.rendering import identity_of

#: States that a user can set, by name.
MARKS = {"success": TaskState.SUCCESS, "failed": TaskState.FAILED}


@dataclass(frozen=True, slots=True)
class Marked:
    """Result of a mark."""

    state: TaskState
    #: number of the instances that were named, and of the changed ones among them
    named: int
    changed: int


def mark_instances(request: Request, key: TaskKey, state: TaskState, *, is_whole: bool) -> Marked:
    """Set the state of a task instance, or of all copies of a mapped task.

    Only failed marks end an active attempt; active instances are not marked as successful.

    Args:
        request: The request.
        key: Key of the instance, or of the mapped task.
        state: One of `MARKS`.
        is_whole: Whether the key names a mapped task with all its copies.

    Raises:
        Conflict: The task has too many copies.
    """
    database = context_of(request).database
    keys = _keys(request, key, is_whole=is_whole)
    if state is TaskState.SUCCESS:
        return Marked(state, len(keys), len(transitions.mark_success(database, keys)))
    expected = [None, *(one for one in TaskState if one not in (TaskState.FAILED, TaskState.REMOVED))]
    by = f"set to {state} by {user_name(request)}"
    return Marked(state, len(keys), len(transitions.set_states(database, keys, state, expected=expected, note=by)))


def kill_instances(request: Request, key: TaskKey, *, is_whole: bool) -> Marked:
    """End the open attempt of a task instance, or of the copies of a mapped task, as failed without a retry.

    Args:
        request: The request.
        key: Key of the instance, or of the mapped task.
        is_whole: Whether the key names a mapped task with all its copies.

    Raises:
        Conflict: The task has too many copies.
    """
    database, keys = context_of(request).database, _keys(request, key, is_whole=is_whole)
    expected = [one for one in TaskState if one.has_open_attempt]
    by = f"killed by {user_name(request)}"
    changed = transitions.set_states(database, keys, TaskState.FAILED, expected=expected, note=by)
    return Marked(TaskState.FAILED, len(keys), len(changed))


def user_name(request: Request) -> str:
    """Return the name of the user of a request, for notes."""
    identity = identity_of(request)
    return identity.username if identity else "a user"


def _keys(request: Request, key: TaskKey, *, is_whole: bool) -> list[TaskKey]:
    if not is_whole:
        return [key]
    found = instances.keys_of_copies(context_of(request).database, key, limit=MAX_CLEARED + 1)
    if len(found) > MAX_CLEARED:
        raise Conflict(
            f"Task {key.task_id!r} has more than {MAX_CLEARED:,} copies, which is the maximum of one request.",
            "Name single copies.",
        )
    return found
