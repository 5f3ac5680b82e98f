"""Schedule of checks: which questions a triggerer asks next, and what follows from the answers. No I/O."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from elastic.dag.execution.wait import Answer, CheckFailure, WaitProgress, WaitStep, after_check, timeout_message
from elastic.db.transitions import DueWait

#: Seconds that a question waits for a free place of its connection before its waits are given back.
_MAX_QUEUED_SECONDS = 30.0

#: Questions of one connection in the queue from which on no more waits of it are taken.
_MAX_QUEUED = 500


@dataclass(slots=True)
class Question:
    """One question for all waits that ask it."""

    #: digest of kind and arguments
    digest: str
    kind: str
    #: JSON
    arguments: str
    connection: str
    #: seconds that the check may take
    limit: float
    queued_at: float
    started_at: float = 0.0
    #: waits with the times at which their deadlines are, None without one
    waits: list[tuple[DueWait, float | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Wait with what follows from its check."""

    wait: DueWait
    next: WaitStep


@dataclass(slots=True)
class _Room:
    """Questions of one connection."""

    queued: "OrderedDict[str, Question]" = field(default_factory=OrderedDict)
    running: dict[str, Question] = field(default_factory=dict)
    #: checks that were given up, and still hold a place
    stuck: int = 0


class CheckSchedule:
    """Schedule of the checks of one triggerer.

    Equal questions are asked once. Each connection has a limited number of checks at the same time, so that a server
    that does not answer holds up only its own questions.

    Args:
        room: Checks of one connection at the same time.
        threads: Checks of all connections at the same time.
    """

    def __init__(self, room: int = 32, threads: int = 64) -> None:
        self._size, self._threads = room, threads
        self._rooms: OrderedDict[str, _Room] = OrderedDict()
        self._running = 0
        #: attempts whose waits are in hand
        self._in_hand: set[str] = set()

    def add(self, waits: Iterable[DueWait], now: float) -> None:
        """Add waits that are due. One whose question is queued or asked already shares its answer."""
        for wait in waits:
            if wait.attempt_uuid in self._in_hand:
                # Its lease ran out before it was renewed, and this triggerer has taken it again.
                continue
            self._in_hand.add(wait.attempt_uuid)
            room = self._rooms.setdefault(wait.connection, _Room())
            question = room.running.get(wait.question) or room.queued.get(wait.question)
            if question is None:
                question = room.queued[wait.question] = Question(
                    digest=wait.question,
                    kind=wait.kind,
                    arguments=wait.arguments,
                    connection=wait.connection,
                    limit=wait.settings.check_timeout,
                    queued_at=now,
                )
            deadline = None if wait.seconds_left is None else now + wait.seconds_left
            question.waits.append((wait, deadline))

    def start(self, now: float) -> list[Question]:
        """Return the questions to ask now, those of the connections in turn."""
        found: list[Question] = []
        for name, room in list(self._rooms.items()):
            while room.queued and self._running < self._threads and len(room.running) + room.stuck < self._size:
                _, question = room.queued.popitem(last=False)
                question.started_at = now
                room.running[question.digest] = question
                self._running += 1
                found.append(question)
                self._rooms.move_to_end(name)
        return found

    def finish(self, question: Question, result: Answer | CheckFailure, now: float) -> list[Outcome]:
        """Return what follows from an answer; nothing if the check was given up before."""
        room = self._rooms[question.connection]
        if room.running.get(question.digest) is not question:
            room.stuck -= 1
            self._forget_empty(question.connection)
            return []
        return self._end(room, question, result, now)

    def give_up(self, now: float) -> list[Outcome]:
        """Give up the checks that take longer than they may; they keep their places until they end."""
        found: list[Outcome] = []
        for room in list(self._rooms.values()):
            for question in list(room.running.values()):
                if now - question.started_at > question.limit:
                    room.stuck += 1
                    found += self._end(room, question, CheckFailure(f"no answer in {question.limit:g} s"), now)
        return found

    def overdue(self, now: float) -> list[Outcome]:
        """Return the ends of the waits whose deadlines have passed in the queue, and give back those behind a dead end.

        A question that had no free place for long is asked again after the interval of its waits, by any triggerer.
        """
        found: list[Outcome] = []
        for name, room in list(self._rooms.items()):
            for digest, question in list(room.queued.items()):
                if now - question.queued_at > _MAX_QUEUED_SECONDS:
                    del room.queued[digest]
                    why = f"{len(room.running) + room.stuck} earlier checks of {name!r} have not answered yet"
                    found += [self._postponed(wait, deadline, why, now) for wait, deadline in question.waits]
            self._forget_empty(name)
        self._in_hand.difference_update(one.wait.attempt_uuid for one in found)
        return found

    @property
    def count(self) -> int:
        """Number of waits in hand."""
        return len(self._in_hand)

    @property
    def full(self) -> list[str]:
        """The connections of which no more waits are taken."""
        return [name for name, room in self._rooms.items() if len(room.queued) >= _MAX_QUEUED]

    @property
    def stuck(self) -> int:
        """Number of checks that were given up and have not ended."""
        return sum(room.stuck for room in self._rooms.values())

    def _end(self, room: _Room, question: Question, result: Answer | CheckFailure, now: float) -> list[Outcome]:
        del room.running[question.digest]
        self._running -= 1
        self._in_hand.difference_update(wait.attempt_uuid for wait, _ in question.waits)
        self._forget_empty(question.connection)
        return [
            Outcome(wait, after_check(wait.settings, wait.progress, result, _left(deadline, now)))
            for wait, deadline in question.waits
        ]

    def _postponed(self, wait: DueWait, deadline: float | None, why: str, now: float) -> Outcome:
        left = _left(deadline, now)
        progress = WaitProgress(checks=wait.progress.checks, errors=wait.progress.errors, reason=why)
        if left is not None and left <= 0:
            failure = timeout_message(wait.settings, progress)
            return Outcome(wait, WaitStep(progress=progress, failure=failure, is_timeout=True))
        delay = wait.settings.delay_after(wait.progress.checks)
        return Outcome(wait, WaitStep(progress=progress, check_in=delay if left is None else min(delay, left)))

    def _forget_empty(self, name: str) -> None:
        room = self._rooms.get(name)
        if room is not None and not room.queued and not room.running and not room.stuck:
            del self._rooms[name]


def _left(deadline: float | None, now: float) -> float | None:
    return None if deadline is None else deadline - now
