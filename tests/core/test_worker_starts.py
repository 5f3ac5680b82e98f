"""Whether a node may start another worker, and when a run gives up, as short scenarios."""

import random

import pytest

from elastic.core.policies.worker_starts import WorkerStarts


def test_a_node_is_tried_again_after_pauses_that_double_up_to_a_quarter_of_the_start_timeout() -> None:
    subject, now = WorkerStarts(30, now=100.0), 100.0
    pauses = []
    for _ in range(8):
        assert subject.may_start("a", now)
        pauses.append(subject.failed("a", "its process died", began_at=now, now=now))
        assert not subject.may_start("a", now + pauses[-1] - 0.01)
        now += pauses[-1]
    assert pauses == [0.25, 0.5, 1, 2, 4, 7.5, 7.5, 7.5]
    assert subject.may_start("b", 100.0), "another node has pauses of its own"


def test_a_start_that_succeeds_clears_the_count() -> None:
    subject = WorkerStarts(30, now=0.0)
    for now in (0.0, 10.0, 20.0):
        subject.failed("a", "its process died", began_at=now, now=now)
    subject.succeeded("a")
    assert subject.may_start("a", 20.0)
    assert subject.failed("a", "its process died", began_at=21.0, now=21.0) == 0.25


def test_processes_that_were_started_together_and_died_together_count_as_one_try() -> None:
    subject = WorkerStarts(30, now=0.0)
    pauses = [subject.failed("a", "its process died", began_at=1.0, now=2.0 + n / 100) for n in range(64)]
    assert set(pauses) == {0.25}
    assert subject.failed("a", "its process died", began_at=3.0, now=4.0) == 0.5


def test_nothing_can_be_started_when_there_was_no_worker_for_the_start_timeout() -> None:
    subject = WorkerStarts(30, now=5.0)
    assert not subject.is_hopeless(35.0)
    assert subject.is_hopeless(35.1)
    subject.worked(40.0)
    assert not subject.is_hopeless(70.0)


def test_a_run_without_a_worker_warns_once_after_a_quarter_of_the_start_timeout() -> None:
    subject = WorkerStarts(120, now=5.0)
    assert not subject.should_warn(35.0)
    assert subject.should_warn(35.1)
    assert not subject.should_warn(100.0)
    subject.worked(100.0)
    assert not subject.should_warn(130.0)
    assert subject.should_warn(130.1)
    assert subject.waited(131.0) == 31.0


def test_a_long_start_timeout_delays_no_new_attempt() -> None:
    subject = WorkerStarts(120, now=0.0)
    assert not subject.is_overdue("a", 0.0, 10.0)
    assert subject.is_overdue("a", 0.0, 10.1)
    pauses, now = [], 0.0
    for _ in range(7):
        pauses.append(subject.failed("a", "its process died", began_at=now, now=now))
        now += pauses[-1]
    assert pauses == [0.25, 0.5, 1, 2, 4, 7.5, 7.5]


def test_deaths_since_the_last_worker_are_reported() -> None:
    subject = WorkerStarts(30, now=0.0)
    assert subject.deaths is None
    for node_id in ("a", "b"):
        subject.failed(node_id, "its process died", began_at=0.0, now=1.0)
    assert subject.deaths == "2 process(es) died as they started, the last one on node b (its process died)"
    subject.worked(2.0)
    assert subject.deaths is None


def test_a_silent_start_is_given_up_after_a_third_of_the_start_timeout_and_the_next_one_has_twice_the_time() -> None:
    subject = WorkerStarts(30, now=0.0)
    assert not subject.is_overdue("a", 0.0, 10.0)
    assert subject.is_overdue("a", 0.0, 10.1)
    subject.abandoned("a")
    assert not subject.is_overdue("a", 10.1, 30.1)
    assert subject.is_overdue("a", 10.1, 30.2)


@pytest.mark.parametrize(("took", "patience"), [(1.0, 10.0), (8.0, 16.0), (19.0, 20.0)])
def test_the_next_start_has_twice_the_time_of_the_last_one_but_at_most_its_limit(took: float, patience: float) -> None:
    subject = WorkerStarts(30, now=0.0)
    subject.abandoned("a")
    subject.spoke("a", began_at=100.0, now=100.0 + took)
    assert not subject.is_overdue("a", 0.0, patience)
    assert subject.is_overdue("a", 0.0, patience + 0.1)


@pytest.mark.parametrize("seed", range(3))
def test_kills_every_few_seconds_never_stop_the_starts(seed: int) -> None:
    # Simulated: starts take about a second, and every 0.8 to 3 seconds one of four workers is killed, starting or not.
    rng, subject, now = random.Random(seed), WorkerStarts(30, now=0.0), 0.0
    workers: dict[int, tuple[float, float]] = {}
    strike_at, kills, longest = 1.0, 0, 0.0
    alive_at = 0.0
    while now < 4_000:
        now += 0.25
        for slot, (began_at, ready_at) in workers.items():
            if began_at < ready_at <= now:
                subject.spoke("a", began_at, now)
                subject.succeeded("a")
                workers[slot] = (ready_at, ready_at)
        if any(began_at == ready_at for began_at, ready_at in workers.values()):
            subject.worked(now)
            longest, alive_at = max(longest, now - alive_at), now
        if now >= strike_at and workers:
            slot = rng.choice(sorted(workers))
            began_at, ready_at = workers.pop(slot)
            if began_at < ready_at:
                subject.failed("a", "its process died", began_at, now)
            kills, strike_at = kills + 1, now + rng.uniform(0.8, 3)
        for slot in range(4):
            if slot not in workers and subject.may_start("a", now):
                workers[slot] = (now, now + rng.uniform(0.5, 2))
        assert not subject.is_hopeless(now)
    assert kills > 1_000
    assert longest < 10, "some worker is there nearly always"
