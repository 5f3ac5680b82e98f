"""State changes of one supervisor step, applied in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, insert

from elastic.core.backoff import Backoff
from elastic.core.text import error_text
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.errors import DatabaseBusyError, DatabaseUnavailableError
from elastic.db.records import AttemptResult, Claim, LogLine, QueueRequest, TaskInstanceRow
from elastic.db.schema import log_line
from elastic.db.transitions import outbox
from elastic.db.transitions.attempts import claim_in, claim_queued_in, finish_in
from elastic.db.transitions.instances import ensure_in, set_states_in
from elastic.db.transitions.queueing import lock_slots, queue_in

#: Columns of a log line. `asdict` would copy each value, which takes a twentieth of the time of a step.
_LOG_LINE_COLUMNS = tuple(one.name for one in fields(LogLine))

#: States in which an instance may be resolved without running.
_NOT_QUEUED = (None, TaskState.SCHEDULED, TaskState.UP_FOR_RETRY)


@dataclass(frozen=True, slots=True)
class ResolvedWithoutRun:
    """Task instance that takes a final state without running."""

    #: inserted if it has no row yet
    instance: TaskInstanceRow
    state: TaskState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanges:
    """State changes that follow from the events of one supervisor step."""

    results: Sequence[AttemptResult] = ()
    resolved: Sequence[ResolvedWithoutRun] = ()
    queue_requests: Sequence[QueueRequest] = ()
    #: for queue requests whose process is already known
    claims: Sequence[Claim] = ()
    log_lines: Sequence[LogLine] = ()


#: Errors after which the same changes may be applied again.
OUTAGES = (DatabaseBusyError, DatabaseUnavailableError)

#: Delays between tries of a service while the database is away.
OUTAGE_BACKOFF = Backoff(first=0.2, longest=5.0)


def apply(database: Database, changes: StateChanges) -> frozenset[str]:
    """Apply state changes in one transaction; if a result is stale, apply none of the changes that follow from it.

    Returns:
        The uuids of the attempts whose results were accepted, and of those that are queued now, or running if they were
        claimed as well.
    """

    def work(connection: Connection, again: bool) -> frozenset[str]:
        slots = lock_slots(connection, changes.queue_requests) if changes.queue_requests else None
        finished = finish_in(connection, changes.results, again=again) if changes.results else frozenset[str]()
        if changes.log_lines:
            rows = [{name: getattr(line, name) for name in _LOG_LINE_COLUMNS} for line in changes.log_lines]
            connection.execute(insert(log_line), rows)
        if len(finished) < len(changes.results):
            return finished
        for one in changes.resolved:
            ensure_in(connection, [one.instance])
            key = one.instance.key
            if set_states_in(connection, [key], one.state, expected=_NOT_QUEUED, note=one.reason, again=again):
                outbox.add_of_instance(connection, key, one.state, one.reason)
        requests = changes.queue_requests
        queued = queue_in(connection, requests, again=again, slots=slots) if requests else frozenset()
        claims = [claim for claim in changes.claims if claim.attempt_uuid in queued]
        if again:
            for claim in claims:
                claim_in(connection, claim, again=again)
        elif claims:
            claim_queued_in(connection, claims)
        return finished | queued

    return database.write(work)


def finish_each(database: Database, results: Sequence[AttemptResult]) -> frozenset[str]:
    """Record results one by one. A result that the database refuses fails its own attempt, with the reason.

    Returns:
        The attempts whose results were accepted.
    """
    finished = frozenset[str]()
    for result in results:
        try:
            finished |= apply(database, StateChanges(results=[result]))
        except OUTAGES:
            raise
        except Exception as error:
            finished |= apply(database, StateChanges(results=[_refused(result, error)]))
    return finished


def _refused(result: AttemptResult, error: Exception) -> AttemptResult:
    """Return the result of an attempt whose own result the database refused."""
    state = result.state if result.state in (TaskState.FAILED, TaskState.UP_FOR_RETRY) else TaskState.FAILED
    why = f"it ended as {result.state}, which the database refused: {error_text(error)}"
    return AttemptResult(
        attempt_uuid=result.attempt_uuid,
        state=state,
        expected=result.expected,
        error=why,
        retry_in=result.retry_in,
        callback=state,
    )
