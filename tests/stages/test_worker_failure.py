"""Failures on a worker return as values that name the entry, and the worker drops its state."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from stage_samples import Gather, by_value, call_of, program, worker

from elastic.aggregators import Collect, Sum
from elastic.aggregators.writing.writing_aggregator import Writing
from elastic.core.contracts.record_sink import RecordBuffer, RecordOutput, RecordWriter
from elastic.core.contracts.source import Reader
from elastic.core.contracts.spilling_aggregator import SpillingAggregator
from elastic.core.encoding import decompress
from elastic.core.errors import SourceError, StoreError
from elastic.core.model.chunk import Reference
from elastic.core.model.failure import Failure
from elastic.core.model.written import WrittenFile
from elastic.core.policies.error_policy import ErrorPolicy, OnError
from elastic.core.transform import Filter, FlatMap, Map, MapChunks, Task
from elastic.stages.messages import COLLECT, decode_reply, encode_reply
from elastic.stages.worker.entry_compatibility import select_compatible
from elastic.stages.worker.failure_bisection import FailureBisection
from elastic.stages.worker.worker import Worker


def divide(entry: int) -> float:
    return 6 / entry


def failure_on(subject: Worker, *batches: list[Any]) -> Failure:
    """Give a worker chunks of a batch and return how it failed."""
    chunks, first = [], 0
    for number, entries in enumerate(batches):
        chunks.append(by_value(number + 10, entries, first=first))
        first += len(entries)
    reply = subject.work(call_of(*chunks, batch_id=7))
    assert reply.batch_id == 7
    assert reply.partial is None
    assert reply.failure is not None
    assert decode_reply(encode_reply(reply)) == reply
    return reply.failure


def test_a_failure_names_chunk_entry_function_and_error() -> None:
    failure = failure_on(worker(Map(divide), aggregator=Sum()), [1, 2], [3, 0, 5])
    assert (failure.chunk_id, failure.index, failure.place) == (11, 1, "entry 3")
    assert failure.function.startswith("map(test_worker_failure.divide (line ")
    assert (failure.error_type, failure.message) == ("ZeroDivisionError", "division by zero")
    assert "return 6 / entry" in failure.traceback


def test_the_first_bad_entry_is_the_one_that_is_named() -> None:
    assert failure_on(worker(Map(divide)), [1], [0, 0], [0]).place == "entry 1"


@pytest.mark.parametrize(
    ("transforms", "function"),
    [
        ((Filter(divide), Map(str)), "filter"),
        ((Map(str), Map(int), FlatMap(lambda entry: [divide(entry)])), "flat_map"),
        ((Map(divide), MapChunks(list)), "map"),
        ((FlatMap(lambda entry: (divide(n) for n in [1, entry])), Task(len)), "flat_map"),
    ],
)
def test_an_entry_is_named_whatever_stands_behind_its_function(transforms: tuple[Any, ...], function: str) -> None:
    failure = failure_on(worker(*transforms), [1, 2], [3, 0])
    assert (failure.chunk_id, failure.index, failure.place) == (11, 1, "entry 3")
    assert failure.function.startswith(f"{function}(")


@pytest.mark.parametrize("transform", [MapChunks(lambda entries: [6 / n for n in entries]), Task(lambda e: 6 / e[-1])])
def test_a_function_of_a_whole_chunk_is_blamed_with_the_entry_that_it_fails_on_alone(transform: Any) -> None:
    failure = failure_on(worker(Map(int), transform, Map(str)), [1, 2], [3, 0])
    assert (failure.chunk_id, failure.place) == (11, "entry 3")
    assert failure.function.startswith(f"{transform.verb}(")


def test_a_generator_that_fails_late_is_named_with_its_function() -> None:
    def late(entry: int) -> Iterator[float]:
        yield 1.0
        yield 6 / entry

    failure = failure_on(worker(FlatMap(late)), [1, 2, 0, 4])
    assert (failure.place, failure.error_type) == ("entry 2", "ZeroDivisionError")
    assert failure.function.startswith("flat_map(")


def test_a_generator_of_map_chunks_that_fails_late_is_named_with_its_function() -> None:
    def late(entries: list[int]) -> Iterator[float]:
        for entry in entries:
            yield 6 / entry

    assert failure_on(worker(MapChunks(late)), [1, 2, 0, 4]).function.startswith("map_chunks(")


class UnpicklableError(Exception):
    def __init__(self) -> None:
        super().__init__("it holds a lock")
        self.lock = threading.Lock()


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UnpicklableError(), "UnpicklableError: it holds a lock"),
        (UnprintableError(), "UnprintableError: (its text cannot be made: RuntimeError)"),
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
        (ValueError("a\ud800b"), r"ValueError: a\ud800b"),
        (ValueError(b"\xff\n"), r"ValueError: b'\xff\n'"),
        (ExceptionGroup("two", [ValueError("1"), KeyError("2")]), "ExceptionGroup: two (2 sub-exceptions)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_any_exception_comes_back_as_text(error: BaseException, text: str) -> None:
    def fail(entry: int) -> None:
        raise error

    failure = failure_on(worker(Map(fail)), [1])
    assert str(failure).endswith(f"failed on entry 0 (chunk 10): {text}")


def test_a_long_message_and_traceback_are_cut() -> None:
    def fail(entry: int) -> None:
        raise ValueError("x" * 100_000)

    failure = failure_on(worker(Map(fail)), [1])
    assert failure.message == "x" * 500
    assert len(failure.traceback) <= 8000


def test_a_function_that_never_ends_calling_itself_is_a_failure_like_others() -> None:
    def again(entry: int) -> int:
        return again(entry) + 1

    assert failure_on(worker(Map(again)), [1]).error_type == "RecursionError"


def test_an_entry_that_fails_only_once_is_reported_with_its_chunks() -> None:
    calls: list[int] = []

    def flaky(entry: int) -> int:
        calls.append(entry)
        if len(calls) == 2:
            raise ConnectionError("try again")
        return entry

    failure = failure_on(worker(Map(flaky), aggregator=Sum()), [1, 2], [3])
    assert (failure.chunk_id, failure.index, failure.place) == (
        10,
        None,
        "chunks 10 to 11 as a whole, but on no single entry",
    )
    assert failure.function.startswith("map(") and failure.function.endswith("or aggregator Sum")
    assert failure.message == "try again"
    assert "flaky" in failure.traceback


@pytest.mark.parametrize("before", [(), (MapChunks(list),)], ids=["by entries", "by chunks"])
def test_an_aggregator_that_fails_in_add_is_named(before: tuple[Any, ...]) -> None:
    subject = worker(*before, aggregator=Gather(add=KeyError("unknown")))
    failure = failure_on(subject, ["good"], ["good", "bad"])
    assert failure.function == "aggregator Gather"
    assert (failure.chunk_id, failure.index) == (11, 1)
    assert str(failure).endswith("KeyError: 'unknown'")


@pytest.mark.parametrize("collect", [False, True], ids=["when asked", "with the answer"])
@pytest.mark.parametrize("error", [ValueError("no bytes"), SystemExit(1)], ids=["ValueError", "SystemExit"])
def test_a_state_that_cannot_become_bytes_is_a_failure_of_the_aggregator(error: BaseException, collect: bool) -> None:
    subject = worker(aggregator=Gather(encode=error))
    reply = subject.work(call_of(by_value(4, [1]), by_value(5, [2]), batch_id=3, collect=collect))
    if not collect:
        assert reply.failure is None
        reply = subject.collect()
    assert reply.batch_id == (3 if collect else COLLECT)
    assert reply.partial is None
    assert reply.failure is not None
    assert reply.failure.chunk_id == 4
    assert str(reply.failure).startswith("aggregator Gather failed on the state of chunk 4")
    assert subject.collect().partial is None


def test_an_entry_that_is_not_plain_data_is_a_failure_that_names_its_type() -> None:
    subject = worker(Map(lambda entry: object()), aggregator=Collect())
    subject.work(call_of(by_value(0, [1])))
    failure = subject.collect().failure
    assert failure is not None
    assert "builtins.object is not plain data" in failure.message


@pytest.mark.parametrize("collect", [False, True])
def test_a_worker_holds_nothing_after_a_failure(collect: bool) -> None:
    subject = worker(Map(divide))
    assert subject.work(call_of(by_value(0, [1]))).failure is None
    assert subject.work(call_of(by_value(1, [2, 0]), batch_id=1, collect=collect)).failure is not None
    assert subject.collect().partial is None
    assert subject.collect().batch_id == COLLECT
    reply = subject.work(call_of(by_value(2, [3]), batch_id=2, collect=True))
    assert reply.partial is not None
    assert [report.first for report in reply.partial.reports] == [2]
    assert Collect().decode(decompress(reply.partial.states[0])) == [2.0]


def test_ctrl_c_is_no_failure_of_an_entry() -> None:
    def interrupt(entry: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker(Map(interrupt)).work(call_of(by_value(0, [1])))


class Reading(Reader):
    """A user's reader with one failing part."""

    def __init__(self, block: Callable[[], bytes], parse: Callable[[], list[Any]]) -> None:
        self.block, self.entries = block, parse

    def read_block(self, reference: Reference) -> bytes:
        return b"good" if reference == ("good",) else self.block()

    def parse(self, reference: Reference, block: bytes) -> list[Any]:
        return [1] if reference == ("good",) else self.entries()


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


def read_by(reader: Reader) -> Worker:
    return Worker(program(reader=reader), node_id="node", worker_id="node/0")


def by_reference(*names: str) -> Any:
    chunks = [by_value(n, [])._replace(reference=(name,), payload=None, entries=-1) for n, name in enumerate(names)]
    return call_of(*chunks)


@pytest.mark.parametrize(("error", "unread"), [(SourceError("gone."), True), (ZeroDivisionError("own"), False)])
def test_a_reader_that_fails_is_a_failure_of_the_chunk_it_failed_on(error: Exception, unread: bool) -> None:
    reply = read_by(Reading(raising(error), list)).work(by_reference("good", "bad"))
    assert reply.failure is not None
    assert (reply.source_unreadable, reply.failure.chunk_id, reply.failure.function) == (unread, 1, "the reader")
    said = "the source cannot be read (chunk 1): gone." if unread else "ZeroDivisionError: own"
    assert str(reply.failure).endswith(said)


def test_a_reader_that_cannot_parse_is_a_failure_that_names_the_reference() -> None:
    reply = read_by(Reading(lambda: b"", raising(ValueError("torn")))).work(by_reference("good", "bad"))
    assert reply.failure is not None
    assert not reply.source_unreadable
    assert (
        str(reply.failure) == "the reader failed on the entries from entry 0 of ('bad',) on (chunk 1): ValueError: torn"
    )


def test_a_payload_that_was_changed_is_refused_with_its_chunk() -> None:
    good, other = by_value(3, [1, 2]), by_value(4, [1, 3])
    call = call_of(good, other)
    assert good.payload is not None
    reply = worker().work(replace(call, payloads=(good.payload, good.payload)))
    assert reply.failure is not None
    assert (reply.failure.chunk_id, reply.source_unreadable) == (4, False)
    assert "chunk 4 was changed in transit" in reply.failure.message


class FullDisk(Sum):
    """Sum whose state does not fit on the disk."""

    def encode(self, state: Any) -> bytes:
        raise StoreError("no space left on the disk.")


@pytest.mark.parametrize("collect", [True, False], ids=["with the batch", "by a request"])
def test_a_state_that_cannot_be_spilled_fails_as_the_node_s_fault(collect: bool) -> None:
    subject = worker(aggregator=FullDisk())
    reply = subject.work(call_of(by_value(3, [1]), collect=collect))
    reply = reply if collect else subject.collect()
    assert reply.spill_failed
    assert reply.failure is not None
    assert (reply.failure.chunk_id, reply.failure.message) == (3, "no space left on the disk.")


class Lines(RecordBuffer):
    """Records in memory, as they are."""

    size = 0

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.chunks = []

    @property
    def is_empty(self) -> bool:
        return not self.records

    def add_many(self, records: Sequence[Any]) -> None:
        self.records += records

    def like(self) -> "Lines":
        return Lines()

    def join(self, other: RecordBuffer) -> None:
        assert isinstance(other, Lines)
        self.records += other.records
        self.chunks += other.chunks


class BrokenWriter(RecordWriter, RecordOutput):
    """Writer of parts that takes the records of a buffer and then fails."""

    ordered = True

    def __init__(self, error: Exception) -> None:
        self.error = error

    def buffer(self) -> Lines:
        return Lines()

    def output(self) -> RecordOutput:
        return self

    def write(self, buffer: RecordBuffer) -> list[WrittenFile]:
        assert isinstance(buffer, Lines)
        buffer.records = []
        raise self.error

    def close(self) -> list[WrittenFile]:
        return []


class Limited(Sum):
    """Sum that cannot grow by more than 100 at a time."""

    def merge(self, state: Any, other: Any) -> Any:
        if self.finish(other) > 100:
            raise ValueError("too much")
        return super().merge(state, other)


FULL, BROKEN = StoreError("no space left on the disk."), MemoryError("no memory")


@pytest.mark.parametrize(
    ("error", "said"), [(FULL, "no space left"), (BROKEN, "could not be written")], ids=["disk", "memory"]
)
@pytest.mark.parametrize("batch", [[60, 70], [3, 4]], ids=["in parts", "whole"])
def test_records_of_earlier_chunks_that_cannot_be_written_are_no_fault_of_later_entries(
    error: Exception, said: str, batch: list[int]
) -> None:
    tolerant = ErrorPolicy(on_error=OnError.SKIP)
    writing = Writing(BrokenWriter(error), Limited())
    subject = Worker(replace(program(aggregator=writing), error_policy=tolerant), node_id="node", worker_id="node/0")
    assert subject.work(call_of(by_value(0, [1, 2, 3]))).failure is None
    # The gap before chunk 2 completes the part of chunk 0, whose records fail to be written.
    reply = subject.work(call_of(by_value(2, batch), batch_id=1))
    assert reply.failure is not None
    assert reply.spill_failed
    assert said in reply.failure.message
    assert subject.collect().partial is None


class Spilling(SpillingAggregator, Gather):
    """Collects entries in a state whose folds fail, one after another, as a test says."""

    def __init__(self, *folds: Exception | None) -> None:
        super().__init__()
        self.folds = list(folds)

    def add_many(self, state: Any, entries: Any) -> Any:
        error = self.folds.pop(0) if self.folds else None
        if error is not None:
            raise error
        return super().add_many(state, entries)

    def spill(self, state: Any) -> Any:
        return state

    @property
    def trial(self) -> Gather:
        return Gather()


def test_a_full_disk_while_failing_entries_are_left_out_is_the_node_s_fault() -> None:
    # The first fold is that of the batch, the second one a trial, the third one makes the state without bad entries.
    subject = worker(aggregator=Spilling(ValueError("once"), None, FULL))
    reply = subject.work(call_of(by_value(0, [1, 2])))
    assert reply.failure is not None
    assert (reply.spill_failed, reply.failure.message) == (True, "no space left on the disk.")


def test_a_full_disk_makes_no_entry_incompatible() -> None:
    bisected = FailureBisection(program(), 0, (0, 2)).run([1, 2])

    def add(outputs: Sequence[Any], before: bool) -> None:
        raise FULL

    with pytest.raises(StoreError, match="no space left"):
        select_compatible(bisected.parts, add)
