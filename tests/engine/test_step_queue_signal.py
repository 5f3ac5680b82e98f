"""A queue without autoplay, and its answers to signals."""

import os
from typing import Any

import pytest
from queue_samples import Held, adding, failing, hopeless

from elastic.core.policies.chaos import Chaos, Fault
from elastic.step_queue import StepQueue

#: Options for many calls, so that there are many occasions for faults.
BUSY: dict[str, Any] = {"target_call_seconds": 1e-9, "collect_interval": 1e-3}


@pytest.fixture
def queue() -> Any:
    """A queue in which nothing starts by itself."""
    with StepQueue(autoplay=False) as queue:
        yield queue


def test_each_answer_of_play_step_can_be_had(queue: StepQueue) -> None:
    held = Held()
    assert queue.play_step() == "no_steps"
    assert [queue.add(step) for step in (hopeless(), held.step(), adding(9))] == ["step_added"] * 3
    assert queue.states() == ["queued"] * 3
    assert queue.play_step() == "error_distribution_flow"
    assert queue.states() == ["error", "queued", "queued"]
    assert queue.play_step() == "ok"
    assert held.begun.wait(60)
    assert queue.play_step() == "step_already_in_progress"
    held.go_on.set()
    assert [result.value for result in queue.wait()] == [3]
    assert queue.play_step() == "ok"
    assert [result.value for result in queue.wait()] == [3, 9]
    assert queue.play_step() == "no_steps"
    assert queue.states() == ["error", "complete", "complete"]


def test_a_step_that_fails_by_hand_does_not_hold_up_the_next(queue: StepQueue) -> None:
    queue.add(failing())
    queue.add(adding(4))
    for _ in range(2):
        assert queue.play_step() == "ok"
        queue.wait()
    assert queue.states() == ["error", "complete"]


def test_a_queue_that_is_never_played_can_be_closed(queue: StepQueue) -> None:
    queue.add(adding(1))
    assert queue.wait() == []
    queue.stop()
    assert queue.states() == ["interrupted"]


def test_each_state_of_a_step_can_be_seen(queue: StepQueue) -> None:
    held = Held()
    queue.add(held.step())
    seen = list(queue.states())
    queue.play_step()
    assert held.begun.wait(60)
    seen += queue.states()
    held.go_on.set()
    queue.wait()
    seen += queue.states()
    queue.add(failing())
    queue.play_step()
    queue.wait()
    seen += queue.states()
    # Calls are lost, so the ledger resends their chunks.
    queue.add(adding(*range(50)).with_options(chaos=Chaos(spirits=(Fault.RAISE,), rate=0.5, seed=1), **BUSY))
    queue.play_step()
    queue.wait()
    seen += queue.states()
    assert list(dict.fromkeys(seen)) == ["queued", "in_progress", "complete", "error", "complete_with_retries"]
    assert queue.results()[-1].value == sum(range(50))
    assert queue.results()[-1].counters["chunks_sent_again"] >= 1
    assert queue.signal_step("complete_with_retries") == "ok"
    assert queue.signal_step("complete") == "invalid_status_update"


def test_a_complete_step_may_be_signalled_as_what_it_is(queue: StepQueue) -> None:
    queue.add(adding(1))
    assert queue.signal_step("complete") == "invalid_status_update"
    queue.play_step()
    queue.wait()
    assert queue.signal_step("complete") == "ok"
    assert queue.signal_step("complete_with_retries") == "invalid_status_update"


@pytest.mark.parametrize("status", ["", "done", "COMPLETE", "queued", "in_progress", "interrupted", None, 5])
def test_any_other_status_is_invalid(status: Any, queue: StepQueue) -> None:
    held = Held()
    queue.add(held.step())
    assert queue.signal_step(status) == "invalid_status_update"
    queue.play_step()
    assert held.begun.wait(60)
    assert queue.signal_step(status) == "invalid_status_update"
    held.go_on.set()
    queue.wait()
    assert queue.signal_step(status) == "invalid_status_update"


def test_a_signal_does_not_complete_a_step_in_progress(queue: StepQueue) -> None:
    held = Held()
    queue.add(held.step())
    queue.play_step()
    assert held.begun.wait(60)
    assert queue.signal_step("complete") == "invalid_status_update"
    held.go_on.set()
    assert queue.wait()[0].value == 3


def test_a_step_that_is_signalled_as_failed_ends_in_error(queue: StepQueue) -> None:
    held = Held()
    assert queue.signal_step("error") == "invalid_status_update"
    queue.add(held.step(endless=True))
    queue.play_step()
    assert held.begun.wait(60)
    assert queue.signal_step("error") == "ok"
    held.go_on.set()
    queue.wait()
    assert queue.states() == ["error"]
    assert queue.errors() == [f"it was signalled as failed (run {queue.run_id})"]
    assert queue.error_count == 1


def test_errors_are_counted_and_may_be_reported(queue: StepQueue) -> None:
    assert queue.error_count == 0
    assert queue.increment_error_count() == 1
    queue.add(failing())
    queue.play_step()
    queue.wait()
    assert queue.error_count == 2
    assert queue.increment_error_count() == 3


def test_the_process_that_reported_an_error_is_named() -> None:
    with StepQueue() as queue:
        queue.increment_error_count("loader on node-3")
        queue.increment_error_count("loader on node-3")
        assert queue.increment_error_count() == 3
        assert queue.error_reports()["loader on node-3"] == 2
        assert any(name.startswith(f"process {os.getpid()} on ") for name in queue.error_reports())
        assert queue.losses() == []
