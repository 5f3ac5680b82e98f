"""Schedule of checks: pure decisions, and a simulation of many waits with triggerers that die."""

import heapq
import random
from dataclasses import dataclass, field, replace
from typing import Any

from elastic.dag.execution.wait import Answer, CheckFailure, WaitProgress, WaitSettings, WaitStep
from elastic.dag.ids import TaskKey
from elastic.db.transitions import DueWait
from elastic.service.triggerer.check_schedule import CheckSchedule, Question

NOT_YET = Answer(done=False, reason="not yet")
DONE = Answer(done=True)


def wait_of(
    number: int, question: str = "", connection: str = "web", left: float | None = None, **settings: Any
) -> DueWait:
    return DueWait(
        key=TaskKey("etl", "run", f"wait{number}"),
        attempt_uuid=f"{number}",
        kind="http",
        arguments="{}",
        question=question or f"question{number}",
        connection=connection,
        settings=WaitSettings(**{"interval": 30.0, **settings}),
        progress=WaitProgress(),
        seconds_left=left,
    )


def test_equal_questions_are_asked_once_and_all_waits_get_the_answer() -> None:
    schedule = CheckSchedule()
    schedule.add([wait_of(number, "same") for number in range(100)], 0.0)
    [question] = schedule.start(0.0)
    schedule.add([wait_of(100, "same")], 0.1)
    assert schedule.start(0.1) == []
    outcomes = schedule.finish(question, NOT_YET, 0.2)
    assert [one.next.check_in for one in outcomes] == [30.0] * 101
    assert schedule.count == 0


def test_a_connection_has_a_limited_number_of_checks_and_holds_up_no_other() -> None:
    schedule = CheckSchedule(room=16, threads=64)
    schedule.add([wait_of(number, connection="dead") for number in range(40)], 0.0)
    schedule.add([wait_of(number, connection="alive") for number in range(40, 60)], 0.0)
    started = schedule.start(0.0)
    by_name = [question.connection for question in started]
    assert (by_name.count("dead"), by_name.count("alive")) == (16, 16)


def test_a_check_that_never_ends_is_given_up_and_keeps_its_place() -> None:
    schedule = CheckSchedule(room=1)
    schedule.add([wait_of(1, silent_errors=1), wait_of(2)], 0.0)
    [question] = schedule.start(0.0)
    assert schedule.give_up(30.0) == []
    [outcome] = schedule.give_up(30.1)
    assert outcome.next.progress.reason == "the check failed: no answer in 30 s"
    assert schedule.start(31.0) == []
    [postponed] = schedule.overdue(31.0)
    assert postponed.next.progress.reason == "1 earlier checks of 'web' have not answered yet"
    schedule.add([wait_of(3)], 32.0)
    assert schedule.finish(question, DONE, 33.0) == [], "an answer after that is dropped"
    assert [one.digest for one in schedule.start(33.0)] == ["question3"]


def test_the_last_check_comes_at_the_deadline() -> None:
    schedule = CheckSchedule()
    schedule.add([wait_of(1, left=10.0)], 100.0)
    [question] = schedule.start(100.0)
    [outcome] = schedule.finish(question, NOT_YET, 104.0)
    assert outcome.next.check_in == 6.0
    schedule.add([wait_of(1, left=0.0, timeout=60.0)], 110.0)
    [question] = schedule.start(110.0)
    [outcome] = schedule.finish(question, NOT_YET, 110.0)
    assert outcome.next.is_timeout
    assert outcome.next.failure == (
        "the sensor timed out, because its timeout of 60 s has passed; the last of 1 check said: not yet."
    )


def test_back_off_grows_with_the_number_of_checks_up_to_its_limit() -> None:
    settings = WaitSettings(interval=5.0, exponential_backoff=True, max_wait=60.0)
    assert [settings.delay_after(checks) for checks in (1, 2, 3, 4, 5, 2000)] == [5, 10, 20, 40, 60, 60]


def test_failed_checks_in_a_row_are_counted_and_an_answer_resets_them() -> None:
    schedule = CheckSchedule()
    progress, reasons = WaitProgress(), []
    results: list[Answer | CheckFailure] = [CheckFailure("a"), CheckFailure("b"), NOT_YET, CheckFailure("c")]
    for number, result in enumerate(results):
        wait = replace(wait_of(number, silent_errors=2), progress=progress)
        schedule.add([wait], 0.0)
        [outcome] = schedule.finish(schedule.start(0.0)[0], result, 0.0)
        progress = outcome.next.progress
        reasons.append((progress.errors, outcome.next.failure))
    assert reasons == [(1, ""), (2, ""), (0, ""), (1, "")]
    schedule.add([replace(wait_of(9), progress=progress)], 0.0)
    [outcome] = schedule.finish(schedule.start(0.0)[0], CheckFailure("403", is_permanent=True), 0.0)
    assert outcome.next.failure == "403"
    assert outcome.next.is_permanent


@dataclass
class Row:
    """Row of a wait in the simulation."""

    wait: DueWait
    #: when the condition comes true, and the deadline
    true_at: float
    deadline: float
    next_at: float
    owner: int = -1
    lease_until: float = 0.0
    ended: list[tuple[float, str]] = field(default_factory=list)


class World:
    """Table of waits, and triggerers that lease, ask, answer and die at random."""

    LEASE = 30.0

    def __init__(self, seed: int, count: int) -> None:
        self.random = random.Random(seed)
        self.rows = {}
        self.triggerers = {number: CheckSchedule(room=32) for number in range(3)}
        self.in_flight: list[tuple[float, int, int, Question]] = []
        for number in range(count):
            connection = f"server{self.random.randrange(5)}"
            timeout = self.random.choice([100.0, 400.0])
            settings = {"timeout": timeout, "interval": self.random.choice([5.0, 30.0])}
            wait = wait_of(number, f"{connection}/{number // 3}", connection, timeout, **settings)
            self.rows[wait.attempt_uuid] = Row(wait, self.random.uniform(0, 500), timeout, 0.0)
        self.asked = 0

    def take(self, owner: int, now: float) -> list[DueWait]:
        found = []
        for row in self.rows.values():
            if not row.ended and row.next_at <= now and row.lease_until < now:
                row.owner, row.lease_until = owner, now + self.LEASE
                found.append(replace(row.wait, seconds_left=row.deadline - now))
        return found

    def record(self, owner: int, wait: DueWait, following: WaitStep, now: float) -> None:
        row = self.rows[wait.attempt_uuid]
        if following.check_in is None:
            if not row.ended:
                row.ended.append((now, "done" if following.answer else "timeout"))
        elif row.owner == owner and not row.ended:
            row.next_at, row.lease_until = now + following.check_in, 0.0
            row.wait = replace(row.wait, progress=following.progress)

    def turn(self, now: float) -> None:
        """Let each triggerer take, ask and record; some die."""
        for owner, schedule in list(self.triggerers.items()):
            if self.random.random() < 0.005:
                # Killed: whatever it holds in memory is gone.
                del self.triggerers[owner]
                self.triggerers[max((*self.triggerers, owner)) + 1] = CheckSchedule(room=32)
                continue
            schedule.add(self.take(owner, now), now)
            for question in schedule.start(now):
                self.asked += 1
                heapq.heappush(self.in_flight, (now + self.random.uniform(0.01, 3.0), self.asked, owner, question))
            for outcome in (*schedule.give_up(now), *schedule.overdue(now)):
                self.record(owner, outcome.wait, outcome.next, now)
        while self.in_flight and self.in_flight[0][0] <= now:
            _, _, owner, question = heapq.heappop(self.in_flight)
            if owner in self.triggerers:
                for outcome in self.triggerers[owner].finish(question, self.answer(question, now), now):
                    self.record(owner, outcome.wait, outcome.next, now)

    def answer(self, question: Question, now: float) -> Answer:
        return DONE if all(now >= self.rows[wait.attempt_uuid].true_at for wait, _ in question.waits) else NOT_YET


def test_no_wait_is_lost_or_ended_twice_when_triggerers_die_at_random() -> None:
    world = World(seed=7, count=1000)
    for second in range(800):
        world.turn(float(second))
    for row in world.rows.values():
        [(at, how)] = row.ended
        # Three waits share a question, which holds once it does for all of them.
        assert at >= min(row.deadline, row.true_at)
        # Each death costs a lease.
        assert at <= row.deadline + 10 * World.LEASE, "the deadline has moved"
        if how == "timeout":
            assert at >= row.deadline
