"""Steps in a queue: in order, one at a time, and the next starts by itself."""

import threading
from typing import Any

import pytest
from queue_samples import Held, adding, failing, hopeless

import elastic
from elastic.core.errors import UsageError
from elastic.run_history import RunHistory


def test_three_steps_run_in_order_without_overlap_and_without_a_hand(cluster: str) -> None:
    told: list[tuple[str, int]] = []

    class Tell(elastic.Interceptor):
        def step_started(self, progress: elastic.Progress) -> None:
            told.append(("started", progress.step))

        def step_ended(self, progress: elastic.Progress, error: str | None) -> None:
            told.append(("ended", progress.step))

    with elastic.StepQueue() as queue:
        for number in range(3):
            flow = elastic.from_range(10 * number, chunk_size=3).aggregate("sum")
            queue.add(flow.step(cluster=cluster, interceptor=Tell))
        results = queue.wait()
    assert told == [(what, step) for step in range(3) for what in ("started", "ended")]
    assert [result.value for result in results] == [0, 45, 190]
    assert [result.step for result in results] == [0, 1, 2]
    assert {result.run_id for result in results} == {queue.run_id}
    assert [record.state for record in RunHistory.of_environment().steps(queue.run_id)] == ["complete"] * 3


def test_the_first_step_starts_at_once_and_the_next_ones_wait() -> None:
    held = Held()
    with elastic.StepQueue() as queue:
        assert queue.add(held.step()) == "started"
        assert held.begun.wait(60)
        assert queue.add(adding(5)) == "step_added"
        assert queue.states() == ["in_progress", "queued"]
        assert queue.current_step_id == 0
        held.go_on.set()
        assert [result.value for result in queue.wait()] == [3, 5]
        assert queue.states() == ["complete", "complete"]
        assert queue.current_step_id is None
        assert queue.add(adding(6)) == "started"
        assert queue.wait()[-1].value == 6


def test_a_step_is_in_progress_as_soon_as_it_is_said_to_have_started() -> None:
    making, go_on = threading.Event(), threading.Event()

    class Slow(elastic.Source):
        """A source whose master is created only after `go_on`, as on a cluster that starts slowly."""

        def cut(self, position: Any = None) -> Any:
            return elastic.from_iterable([1, 2, 3])._source.cut()

        def reader(self) -> elastic.Reader:
            making.set()
            go_on.wait(60)
            return elastic.from_iterable([])._source.reader()

        def describe(self) -> dict[str, Any]:
            return {}

    with elastic.StepQueue() as queue:
        for turn in range(20):
            assert queue.add(elastic.from_source(Slow()).step(cluster="inline", name=f"step {turn}")) == "started"
            assert queue.current_step_id == turn
            assert queue.states()[turn] == "in_progress"
            progress = queue.progress()
            assert progress is not None
            assert (progress.step, progress.name, progress.entries) == (turn, f"step {turn}", 0)
            assert making.wait(60)
            assert queue.value() is None
            go_on.set()
            queue.wait(60)
            making.clear()
            go_on.clear()
        assert queue.progress() is None


def test_a_flow_may_be_added_as_it_is() -> None:
    with elastic.StepQueue() as queue:
        queue.add(elastic.from_range(4).aggregate("sum").options(cluster="inline"))
        assert queue.wait()[0].value == 6


@pytest.mark.parametrize("first", [failing, hopeless], ids=["fails", "cannot begin"])
def test_a_step_that_fails_does_not_hold_up_those_behind_it(first: Any) -> None:
    with elastic.StepQueue() as queue:
        queue.add(first())
        queue.add(adding(1, 2))
        queue.wait()
        assert queue.states() == ["error", "complete"]
        error, none = queue.errors()
        assert none is None
        assert error is not None
        assert ("ZeroDivisionError" if first is failing else "cluster 'nowhere' is not inline") in error
        assert queue.error_count == 1
        assert queue.results("all")[-1].value == 3


@pytest.mark.parametrize("error", [SystemExit(3), ZeroDivisionError("own"), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("late", [False, True], ids=["before it begins", "in its middle"])
def test_nothing_that_a_source_raises_leaves_the_queue_waiting_for_ever(error: BaseException, late: bool) -> None:
    class Rude(elastic.Source):
        def cut(self, position: Any = None) -> Any:
            if late:
                return self._fail()
            raise error

        def _fail(self) -> Any:
            yield from ()
            raise error

        def reader(self) -> elastic.Reader:
            return elastic.from_iterable([])._source.reader()

        def describe(self) -> dict[str, Any]:
            return {}

    with elastic.StepQueue() as queue:
        queue.add(elastic.from_source(Rude()).step(cluster="inline"))
        queue.add(adding(7))
        queue.wait(60)
        assert queue.states() == ["error", "complete"]
        assert type(error).__name__ in str(queue.errors()[0])


def test_results_of_one_step_never_leak_into_the_next() -> None:
    step = adding(1, 2, 3)
    with elastic.StepQueue() as queue:
        for _ in range(3):
            queue.add(step)
        queue.add(elastic.Step([4], task=sum, cluster="inline"))
        assert [result.value for result in queue.wait()] == [6, 6, 6, 4]
        assert queue.results("first").value == 6
        assert [result.receipts["aggregated"] for result in queue.results()] == [3, 3, 3, 1]


def test_results_are_asked_for_by_name() -> None:
    with elastic.StepQueue() as queue:
        assert (queue.results("first"), queue.results("all")) == (None, [])
        with pytest.raises(UsageError, match="expected 'all' or 'first'"):
            queue.results("last")  # type: ignore[arg-type]


def test_steps_may_be_added_from_several_threads() -> None:
    answers: list[str] = []
    with elastic.StepQueue() as queue:
        threads = [threading.Thread(target=lambda: answers.append(queue.add(adding(1)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(result.value for result in queue.wait()) == 8
    assert len(answers) == 8
    assert set(answers) <= {"started", "step_added"}
    assert "started" in answers


@pytest.mark.parametrize("what", [None, 5, "flow", elastic.from_range, [1, 2]])
def test_a_value_that_is_no_step_is_refused(what: Any) -> None:
    with elastic.StepQueue() as queue, pytest.raises(UsageError, match="is neither a Step nor a Flow"):
        queue.add(what)
    assert queue.states() == []


def test_a_step_with_a_home_of_its_own_is_refused() -> None:
    with elastic.StepQueue() as queue, pytest.raises(UsageError, match="give home to the StepQueue"):
        queue.add(adding(1, home="elsewhere"))


def test_no_step_is_added_to_a_queue_that_is_closed() -> None:
    queue = elastic.StepQueue()
    queue.close()
    queue.close()
    with pytest.raises(UsageError, match="the queue is closed; create a new one"):
        queue.add(adding(1))


def test_waiting_has_an_end_if_one_is_given() -> None:
    held = Held()
    with elastic.StepQueue() as queue:
        assert queue.wait(0) == []
        queue.add(held.step())
        assert held.begun.wait(60)
        with pytest.raises(TimeoutError, match=r"step 0 is still in progress after 0\.01 s"):
            queue.wait(0.01)
        held.go_on.set()
        assert queue.wait(60)[0].value == 3


def test_a_queue_that_is_stopped_ends_its_step_and_leaves_out_the_others() -> None:
    held = Held()
    with elastic.StepQueue() as queue:
        queue.add(held.step(endless=True))
        queue.add(adding(1))
        assert held.begun.wait(60)
        held.go_on.set()
        queue.stop()
        assert queue.states() == ["interrupted", "interrupted"]
        assert queue.errors()[0] == f"it was stopped before its end (run {queue.run_id})"
        assert queue.error_count == 0
        assert queue.add(adding(2)) == "started"
        assert queue.wait()[-1].value == 2


def test_a_step_that_is_stopped_while_it_is_being_made_does_not_run() -> None:
    making, go_on = threading.Event(), threading.Event()
    processed: list[int] = []

    class Slow(elastic.Source):
        def cut(self, position: Any = None) -> Any:
            making.set()
            go_on.wait(60)
            return elastic.from_iterable([1, 2, 3])._source.cut()

        def reader(self) -> elastic.Reader:
            return elastic.from_iterable([])._source.reader()

        def describe(self) -> dict[str, Any]:
            return {}

    with elastic.StepQueue() as queue:
        queue.add(elastic.from_source(Slow()).map(processed.append).step(cluster="inline"))
        assert making.wait(60)
        stopping = threading.Thread(target=queue.stop)
        stopping.start()
        while queue._steps[0].ending is None:
            stopping.join(0.001)
        go_on.set()
        stopping.join()
        assert queue.states() == ["interrupted"]
    assert processed == []


def test_a_block_that_raises_stops_the_queue() -> None:
    held = Held()
    with pytest.raises(ZeroDivisionError), elastic.StepQueue() as queue:
        queue.add(held.step(endless=True))
        queue.add(adding(1))
        assert held.begun.wait(60)
        held.go_on.set()
        raise ZeroDivisionError
    assert queue.states() == ["interrupted", "interrupted"]
