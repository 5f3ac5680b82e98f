"""What one turn of a supervisor writes down, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from sqlalchemy import Connection, insert

from elastic.core.text import error_text
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.errors import DatabaseBusyError, DatabaseUnavailableError
from elastic.db.records import AttemptResult, Claim, LogLine, QueueRequest, TaskInstanceRow
from elastic.db.schema import log_line
from elastic.db.transitions.attempts import claim_in, finish_in
from elastic.db.transitions.instances import ensure_in, set_states_in
from elastic.db.transitions.queueing import queue_in

#: Read one by one: `asdict` would copy each value, for a twentieth of all the time that a turn takes.
_LINE = tuple(one.name for one in fields(LogLine))

#: What is settled without running has not been queued.
_UNQUEUED = (None, TaskState.SCHEDULED, TaskState.UP_FOR_RETRY)


@dataclass(frozen=True, slots=True)
class ResolvedWithoutRun:
    """A task instance that takes a state without running."""

    #: inserted if it has no row yet
    instance: TaskInstanceRow
    state: TaskState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanges:
    """Everything that follows from what was heard since the turn before."""

    endings: Sequence[AttemptResult] = ()
    settled: Sequence[ResolvedWithoutRun] = ()
    tickets: Sequence[QueueRequest] = ()
    #: for those tickets whose process is known already
    claims: Sequence[Claim] = ()
    lines: Sequence[LogLine] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedChanges:
    """What of it came true."""

    #: attempts whose ends counted
    counted: frozenset[str] = frozenset()
    #: attempts that are queued, or running if they were claimed as well
    queued: frozenset[str] = field(default=frozenset())
    claimed: frozenset[str] = field(default=frozenset())


#: After these nothing is wrong with what was to be written.
OUTAGES = (DatabaseBusyError, DatabaseUnavailableError)


def apply(database: Database, turn: StateChanges) -> AppliedChanges:
    """Write a turn down. If an ending does not count, nothing that was to follow from it happens."""

    def work(connection: Connection, again: bool) -> AppliedChanges:
        counted = finish_in(connection, turn.endings, again=again) if turn.endings else frozenset[str]()
        if turn.lines:
            connection.execute(insert(log_line), [{name: getattr(line, name) for name in _LINE} for line in turn.lines])
        if len(counted) < len(turn.endings):
            return AppliedChanges(counted=counted)
        for one in turn.settled:
            ensure_in(connection, [one.instance])
            set_states_in(connection, [one.instance.key], one.state, expected=_UNQUEUED, note=one.reason, again=again)
        queued = queue_in(connection, turn.tickets, again=again) if turn.tickets else frozenset[str]()
        wanted = [claim for claim in turn.claims if claim.attempt_uuid in queued]
        claimed = frozenset(one.attempt_uuid for one in wanted if claim_in(connection, one, again=again))
        return AppliedChanges(counted=counted, queued=queued, claimed=claimed)

    return database.write(work)


def write_each(database: Database, endings: Sequence[AttemptResult]) -> frozenset[str]:
    """Write endings down one by one. One that the database refuses fails that attempt alone, with the reason.

    Returns:
        The attempts whose ends counted.
    """
    counted = frozenset[str]()
    for ending in endings:
        try:
            counted |= apply(database, StateChanges(endings=[ending])).counted
        except OUTAGES:
            raise
        except Exception as error:
            counted |= apply(database, StateChanges(endings=[_plain(ending, error)])).counted
    return counted


def _plain(ending: AttemptResult, error: Exception) -> AttemptResult:
    """Return an ending that says no more than that another one could not be written down."""
    state = ending.state if ending.state in (TaskState.FAILED, TaskState.UP_FOR_RETRY) else TaskState.FAILED
    why = f"it ended as {ending.state}, which the database refused: {error_text(error)}"
    return AttemptResult(
        attempt_uuid=ending.attempt_uuid,
        state=state,
        expected=ending.expected,
        error=why,
        retry_in=ending.retry_in,
        callback=state,
    )
