"""A run that is stopped, or inspected while it runs."""

import threading
from collections.abc import Iterator

import pytest

import elastic
from elastic.aggregators import Sum
from elastic.engine.master import Master
from elastic.engine.run import FlowRun
from elastic.run_history import RunHistory


def test_a_partial_result_can_be_read_before_the_end(cluster: str) -> None:
    values: list[int] = []
    queue = elastic.StepQueue()

    class Look(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            if task_count == 5:
                values.append(queue.value())
                progress = queue.progress()
                assert progress is not None
                assert progress.state == "in_progress"
                assert 5 <= progress.aggregated_chunks < 100

    with queue:
        flow = elastic.from_range(1, 101, chunk_size=1).aggregate(Sum())
        queue.add(flow.step(cluster=cluster, interceptor=Look, max_chunks_in_flight=4, max_chunks_per_call=1))
        assert queue.wait()[0].check().value == 5050
    assert len(values) == 1
    assert 0 < values[0] < 5050
    assert (queue.value(), queue.progress()) == (None, None)


def test_a_master_that_is_stopped_counts_as_interrupted() -> None:
    run = FlowRun.create(None, "segment")
    masters: list[Master] = []

    class Stop(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            masters[0].stop()

    def numbers() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    step = elastic.from_iterable(numbers(), chunk_size=1).step(
        cluster="inline", interceptor=Stop, max_chunks_in_flight=10
    )
    masters.append(run.master(0, step))
    result = masters[0].run()
    run.close()
    assert (result.state, result.value) == ("interrupted", None)
    assert str(result).startswith("interrupted: it was stopped before its end (run ")
    with pytest.raises(elastic.ElasticError, match="it was stopped before its end"):
        result.check()
    (record,) = RunHistory.of_environment().steps(result.run_id)
    assert (record.state, record.error) == ("interrupted", str(result.error))


def test_a_master_that_is_stopped_before_it_begins_does_not_run() -> None:
    run = FlowRun.create(None, "segment")
    seen: list[int] = []
    master = run.master(0, elastic.from_range(5).map(seen.append).step(cluster="inline"))
    master.stop()
    assert master.run().state == "interrupted"
    run.close()
    assert seen == []


def test_progress_may_be_asked_for_from_many_threads() -> None:
    run = FlowRun.create(None, "segment")
    flow = elastic.from_range(2_000, chunk_size=1).aggregate(Sum())
    master = run.master(0, flow.step(cluster="inline", max_chunks_in_flight=10))
    over, errors = threading.Event(), list[BaseException]()

    def look() -> None:
        last = 0
        try:
            while not over.is_set():
                progress, value = master.progress(), master.value()
                assert last <= progress.aggregated_chunks <= progress.cut_chunks <= 2_000
                assert 0 <= value <= sum(range(2_000))
                last = progress.aggregated_chunks
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    result = master.run()
    over.set()
    for thread in threads:
        thread.join()
    run.close()
    assert errors == []
    assert (result.state, result.value) == ("complete", sum(range(2_000)))
