"""Callbacks for each hop of each chunk, with exact arguments, in a possible order."""

from collections import Counter
from typing import Any

import pytest

import elastic
from elastic.aggregators import Collect, Sum
from elastic.core.errors import UsageError
from elastic.core.receipts.stage import Stage

Told = tuple[Any, ...]


class Recorder(elastic.Interceptor):
    """Keeps every call with its arguments; receipts as (stage, chunk, entries)."""

    def __init__(self) -> None:
        self.calls: list[Told] = []

    def step_started(self, progress: elastic.Progress) -> None:
        self.calls.append(("step_started", progress.state, progress.name))

    def send(self, host_node: str, to: str, action: str, receipt: elastic.Receipt) -> None:
        self.calls.append(("send", host_node, to, action, shown(receipt)))

    def receive(self, host_node: str, to: str, action: str, receipt: elastic.Receipt) -> None:
        self.calls.append(("receive", host_node, to, action, shown(receipt)))

    def distributed(self, receipt: elastic.Receipt, task_count: int) -> None:
        self.calls.append(("distributed", shown(receipt), task_count))

    def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
        self.calls.append(("aggregated", shown(receipt), task_count))

    def failed(self, failure: Any) -> None:
        self.calls.append(("failed", failure.chunk_id, failure.index, failure.error_type))

    def task_complete(
        self, receipt: elastic.Receipt | None, distributed_count: int, aggregated_count: int, retry_count: int
    ) -> None:
        told = None if receipt is None else shown(receipt)
        self.calls.append(("task_complete", told, distributed_count, aggregated_count, retry_count))

    def step_ended(self, progress: elastic.Progress, error: str | None) -> None:
        self.calls.append(("step_ended", progress.state, progress.aggregated_chunks, error))

    def of(self, name: str) -> list[Told]:
        return [call[1:] for call in self.calls if call[0] == name]


def shown(receipt: elastic.Receipt) -> Told:
    return (receipt.stage, receipt.chunk_id, receipt.entries)


def recorded(flow: elastic.Flow, **options: Any) -> Recorder:
    recorder = Recorder()
    flow.run(interceptor=recorder, **{"cluster": "inline", "name": "watched", **options})
    return recorder


def test_a_chunk_s_hops_are_reported_with_exact_arguments() -> None:
    recorder = recorded(elastic.from_iterable([1, 2, 3], chunk_size=2).aggregate(Collect()))
    chunks = [(0, 2), (1, 1)]
    assert recorder.of("distributed") == [((Stage.DISTRIBUTED, chunk, entries), chunk + 1) for chunk, entries in chunks]
    assert recorder.of("aggregated") == [((Stage.AGGREGATED, chunk, entries), chunk + 1) for chunk, entries in chunks]
    for chunk, entries in chunks:
        sent = [call for call in recorder.of("send") if call[3][1] == chunk]
        assert sent == [
            ("inline", "receiver_inline", "receive_new_parcel", (Stage.SENT, chunk, entries)),
            ("inline", "receiver_inline", "receive_return_parcel", (Stage.RETURNED, chunk, entries)),
        ]
        received = [call for call in recorder.of("receive") if call[3][1] == chunk]
        assert received == [
            ("inline", "sender_inline", "send_parcel_to_master", (Stage.RECEIVED, chunk, entries)),
            ("inline", "aggregator", "merge_processed_result", (Stage.RETURNED, chunk, entries)),
        ]
    assert recorder.calls[0] == ("step_started", "in_progress", "watched")
    assert recorder.calls[-2:] == [
        ("task_complete", (Stage.AGGREGATED, 1, 1), 2, 2, 0),
        ("step_ended", "complete", 2, None),
    ]
    assert len(recorder.calls) == 1 + 6 * 2 + 2


def test_a_chunk_s_hops_are_reported_in_the_order_of_its_path(cluster: str) -> None:
    recorder = recorded(elastic.from_range(60, chunk_size=3).aggregate(Sum()), cluster=cluster)
    hops: dict[int, list[str]] = {}
    for call in recorder.calls:
        if call[0] in ("distributed", "aggregated"):
            hops.setdefault(call[1][1], []).append(call[0])
        elif call[0] in ("send", "receive"):
            hops.setdefault(call[4][1], []).append(call[3])
    assert set(hops) == set(range(20))
    assert {tuple(names) for names in hops.values()} == {
        (
            "distributed",
            "receive_new_parcel",
            "send_parcel_to_master",
            "receive_return_parcel",
            "merge_processed_result",
            "aggregated",
        )
    }
    assert [call[1] for call in recorder.of("distributed")] == list(range(1, 21))
    assert [call[1] for call in recorder.of("aggregated")] == list(range(1, 21))
    ((receipt, *counts),) = recorder.of("task_complete")
    assert (receipt[0], counts) == (Stage.AGGREGATED, [20, 20, 0])


def test_receipts_that_are_shown_are_the_ones_that_are_kept() -> None:
    from elastic.run_history import RunHistory

    tokens: list[str] = []

    class Keep(elastic.Interceptor):
        def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
            tokens.append(str(receipt))

    run_id = elastic.from_range(9, chunk_size=2).run(cluster="inline", interceptor=Keep).run_id
    kept = [journey[-1].token for journey in RunHistory.of_environment().receipts(run_id, 0)]
    assert tokens == kept
    assert len(set(tokens)) == 5


def test_an_empty_step_completes_without_a_receipt() -> None:
    recorder = recorded(elastic.from_iterable([]))
    assert recorder.calls == [
        ("step_started", "in_progress", "watched"),
        ("task_complete", None, 0, 0, 0),
        ("step_ended", "complete", 0, None),
    ]


def test_a_step_that_fails_is_reported_and_not_completed() -> None:
    recorder = Recorder()
    with pytest.raises(elastic.ElasticError) as caught:
        elastic.from_iterable([1, 0]).map(lambda n: 1 / n).run(cluster="inline", interceptor=recorder)
    assert recorder.of("failed") == [(0, 1, "ZeroDivisionError")]
    assert recorder.of("task_complete") == []
    assert recorder.of("step_ended") == [("error", 0, str(caught.value))]


def test_overriding_one_callback_leaves_the_rest_as_they_are() -> None:
    counts: list[int] = []

    class Only(elastic.Interceptor):
        def task_complete(self, receipt: Any, distributed_count: int, aggregated_count: int, retry_count: int) -> None:
            counts.extend([distributed_count, aggregated_count, retry_count])
            assert receipt.chunk_id == 2

    assert elastic.from_range(5, chunk_size=2).run(cluster="inline", interceptor=Only).interceptor_errors == ()
    assert counts == [3, 3, 0]


def test_several_interceptors_are_called_in_their_order() -> None:
    told: list[str] = []

    def named(name: str) -> type[elastic.Interceptor]:
        class Named(elastic.Interceptor):
            def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
                told.append(name)

        return Named

    elastic.from_range(4, chunk_size=2).run(cluster="inline", interceptor=[named("first"), named("second")])
    assert told == ["first", "second", "first", "second"]


def test_resent_chunks_are_not_counted_again() -> None:
    from elastic.core.contracts.source import EntriesReader
    from elastic.core.model.chunk import Batch, Chunk, DeliveryHistory
    from elastic.core.receipts.receipt import ReceiptSigner
    from elastic.engine.interceptor_dispatch import InterceptorDispatch
    from elastic.stages.transport.sender import MasterSender

    signer, recorder = ReceiptSigner(key=bytes(32), run_id="run", step=0), Recorder()
    interceptors = InterceptorDispatch([recorder], signer, "master")
    sender = MasterSender(signer, "master", EntriesReader())
    chunks = tuple(Chunk(n, (n,), 1, (n, 1), b"", 1, bytes(16)) for n in range(3))
    for number, history in enumerate((DeliveryHistory(), DeliveryHistory(attempts=1))):
        interceptors.sent(sender.send(Batch(number, history, chunks), "node", collect=False), "node")
    assert [count for _, count in recorder.of("distributed")] == [1, 2, 3, 3, 3, 3]
    assert Counter(call[3][1] for call in recorder.of("send")) == {0: 2, 1: 2, 2: 2}
    assert {call[1] for call in recorder.of("send")} == {"receiver_node"}


def test_step_update_cannot_be_overridden() -> None:
    def step_update(self: Any, *arguments: Any) -> None:
        raise AssertionError

    own = type("Own", (elastic.Interceptor,), {"step_update": step_update})
    with pytest.raises(UsageError, match=r"Own\.step_update cannot be overridden; override task_complete"):
        elastic.from_range(3).options(interceptor=own)


def test_an_interceptor_that_cannot_be_made_is_refused() -> None:
    class Needy(elastic.Interceptor):
        def __init__(self, path: str) -> None:
            self.path = path

    with pytest.raises(UsageError, match=r"interceptor Needy cannot be created without arguments .*pass an instance"):
        elastic.from_range(3).options(interceptor=Needy)
    assert elastic.from_range(3).options(interceptor=Needy("x")).run(cluster="inline").entries == 3
