"""An aggregator that fails between worker and result ends the step with one sentence, on every transport."""

from typing import Any

import pytest
from stage_samples import SEAL, Gather, by_value, call_of, worker

import elastic
from elastic.core.errors import StepFailedError
from elastic.stages.messages import COLLECT, Reply
from elastic.stages.transport.receiver import NodeReceiver
from elastic.stages.transport.sender import NodeSender


@pytest.mark.parametrize("method", ["merge", "decode", "encode"])
def test_a_node_whose_workers_results_cannot_be_merged_answers_with_a_failure(method: str) -> None:
    replies = [Reply(node_id="node", worker_id="", batch_id=COLLECT)]
    for number in range(2):
        subject = worker(aggregator=Gather(), worker_id=f"node/{number}")
        call = call_of(by_value(number, [number]), batch_id=number + 5)
        subject.work(NodeReceiver(SEAL, "node").receive(call))
        replies.append(subject.collect())
    reply = NodeSender(SEAL, "node", Gather(**{method: ValueError("no")})).send(replies)
    assert (reply.batch_id, reply.partial) == (COLLECT, None)
    expected = "aggregator Gather failed on the results of this node's workers (chunk 0): ValueError: no"
    assert str(reply.failure) == expected


def test_a_worker_s_failure_is_the_answer_of_its_node() -> None:
    good, bad = worker(aggregator=Gather()), worker(aggregator=Gather(encode=ValueError("no")))
    for number, subject in enumerate((good, bad)):
        subject.work(call_of(by_value(number, [1]), batch_id=number))
    replies = [Reply(node_id="node", worker_id="", batch_id=COLLECT), good.collect(), bad.collect()]
    reply = NodeSender(SEAL, "node", None).send(replies)
    assert (reply.batch_id, reply.partial) == (COLLECT, None)
    assert reply.failure is not None
    assert reply.failure.chunk_id == 1


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(2)], ids=["ValueError", "SystemExit"])
@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("encode", "aggregator Gather failed on the state of"),
        ("decode", "aggregator Gather failed in decode on"),
        ("merge", "aggregator Gather failed in merge on"),
        ("finish", "aggregator Gather failed in finish on the result"),
    ],
)
@pytest.mark.parametrize("ordered", [False, True], ids=["unordered", "ordered"])
def test_each_failure_of_an_aggregator_is_reported_in_one_sentence(
    method: str, text: str, ordered: bool, error: BaseException
) -> None:
    aggregator = Gather(**{method: error})
    aggregator.ordered = ordered
    # Results of two nodes, so that there are states to merge.
    flow = elastic.from_iterable(range(100), chunk_size=1).aggregate(aggregator)
    with pytest.raises(StepFailedError, match=rf"^{text}.*{type(error).__name__}: {error}") as caught:
        flow.run(cluster="inline", max_chunks_per_call=1, max_chunks_in_flight=4)
    assert caught.value.traceback or caught.value.__cause__ is error


def test_a_state_that_cannot_be_sent_ends_the_step_at_once(cluster: str) -> None:
    class Opaque(elastic.Aggregator[Any, Any, Any]):
        def create(self) -> Any:
            return object()

        def add(self, state: Any, entry: Any) -> Any:
            return state

        def merge(self, state: Any, other: Any) -> Any:
            return state

        def finish(self, state: Any) -> Any:
            return None

    with pytest.raises(StepFailedError, match=r"aggregator Opaque .*builtins\.object is not plain data"):
        elastic.from_iterable(range(10), chunk_size=2).aggregate(Opaque()).run(cluster=cluster)


def test_a_reader_of_the_user_that_fails_ends_the_step_at_once(cluster: str) -> None:
    from elastic.core.model.chunk import SourcePiece

    class Torn(elastic.Reader):
        def read_block(self, reference: Any) -> bytes:
            raise ZeroDivisionError("torn")

        def parse(self, reference: Any, block: bytes) -> list[Any]:
            return []

    class Pages(elastic.Source):
        def cut(self, position: Any = None) -> Any:
            yield SourcePiece((0,), ("page", 1))

        def reader(self) -> elastic.Reader:
            return Torn()

        def describe(self) -> dict[str, Any]:
            return {}

    with pytest.raises(StepFailedError, match=r"the reader failed on the source .chunk 0.: ZeroDivisionError: torn"):
        elastic.from_source(Pages()).run(cluster=cluster)
