"""Writing aggregator: writes all entries to a sink, and aggregates them by another aggregator in the same pass."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from elastic.aggregators.basic.emit import Nothing
from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import ListOf, is_count, read_state
from elastic.aggregators.writing.write_state import WriteState
from elastic.core.contracts.aggregator import Aggregator, AnyAggregator
from elastic.core.contracts.record_sink import RecordBuffer, RecordOutput, RecordWriter
from elastic.core.contracts.spilling_aggregator import SpillingAggregator
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError, StoreError
from elastic.core.model.written import WrittenFile

#: Minimum and maximum number of entries that are encoded in one call, and the bytes that they should have.
_MIN_BATCH, _MAX_BATCH, _BATCH_BYTES = 16, 1 << 12, 1 << 20


class Writing(SpillingAggregator):
    """Aggregator that writes the entries by a writer and folds them into the state of another aggregator.

    The master gets only the names of the written parts, and the state of the other aggregator.

    Args:
        writer: Writes the entries.
        inner: Folds the entries.
    """

    def __init__(self, writer: RecordWriter, inner: AnyAggregator) -> None:
        self.writer, self.inner = writer, inner
        self.ordered = inner.ordered

    def create(self) -> WriteState:
        return WriteState(self.writer, self.inner.create())

    def begin(self, state: WriteState, first: int, stop: int) -> WriteState:
        state.begin(first, stop)
        return state

    def add(self, state: WriteState, entry: Any) -> WriteState:
        return self.add_many(state, (entry,))

    def add_many(self, state: WriteState, entries: Iterable[Any]) -> WriteState:
        iterator, size = iter(entries), _MIN_BATCH
        while batch := list(islice(iterator, size)):
            # Encoded first, because the other aggregator may change the entries.
            added = state.add_many(batch)
            state.inner = self.inner.add_many(state.inner, iter(batch))
            if len(batch) < size:  # the end: see `batches`
                break
            size = max(_MIN_BATCH, min(_MAX_BATCH, _BATCH_BYTES * size // max(added, 1)))
        return state

    def merge(self, state: WriteState, other: WriteState) -> WriteState:
        # The aggregator first: it may raise, and `undo` then restores only its state. A join that raises takes no
        # record of `other`.
        state.inner = self.inner.merge(state.inner, other.inner)
        state.join(other)
        return state

    def undo(self, state: WriteState, other: WriteState) -> Callable[[], WriteState] | None:
        undo_inner = self.inner.undo(state.inner, other.inner)
        if undo_inner is None:
            return None

        def restore() -> WriteState:
            state.inner = undo_inner()
            return state

        return restore

    def spill(self, state: WriteState) -> WriteState:
        state.write_if_large()
        return state

    @property
    def trial(self) -> "WriteTrial":
        return WriteTrial(self.writer, self.inner)

    def finish(self, state: WriteState) -> Any:
        return self.inner.finish(state.inner)

    def encode(self, state: WriteState) -> bytes:
        state.complete()
        state.check_columns(state.parts)
        return pack([[part.plain() for part in state.parts], self.inner.encode(state.inner)])

    def decode(self, data: bytes) -> WriteState:
        _, inner = read_state(data, _SAVED_SHAPE, self)
        state = WriteState(self.writer, self.inner.decode(inner), parts_of(data))
        state.check_columns(state.parts)
        return state

    def __str__(self) -> str:
        return str(self.writer) if isinstance(self.inner, Nothing) else f"{self.inner} beside {self.writer}"


def parts_of(data: bytes) -> list[WrittenFile]:
    """Return the parts that an encoded state of `Writing` names.

    Raises:
        EncodingError: The bytes are not such a state.
    """
    parts, _ = read_state(data, _SAVED_SHAPE, "a flow that writes")
    return [WrittenFile.of(plain) for plain in parts]


@dataclass(slots=True)
class _Tried:
    """State of a trial: that of the other aggregator, and the records that were tried since it was decoded."""

    inner: Any
    buffer: RecordBuffer


class WriteTrial(Aggregator[Any, _Tried, Any]):
    """Aggregator that refuses the entries that `Writing` refuses, beside those that it has, and writes nothing.

    An encoded state is valid in this object only, which keeps what the records of the state had in common.
    """

    def __init__(self, writer: RecordWriter, inner: AnyAggregator) -> None:
        self._writer, self._inner = writer, inner
        self._kept: list[RecordBuffer] = []
        self.ordered = inner.ordered

    def create(self) -> _Tried:
        return _Tried(self._inner.create(), self._writer.buffer())

    def add(self, state: _Tried, entry: Any) -> _Tried:
        return self.add_many(state, (entry,))

    def add_many(self, state: _Tried, entries: Iterable[Any]) -> _Tried:
        for batch in batches(entries, _MAX_BATCH):
            state.buffer.add_many(batch)
            state.inner = self._inner.add_many(state.inner, iter(batch))
        return state

    def merge(self, state: _Tried, other: _Tried) -> _Tried:
        state.inner = self._inner.merge(state.inner, other.inner)
        state.buffer.join(other.buffer)
        return state

    def finish(self, state: _Tried) -> Any:
        return self._inner.finish(state.inner)

    def encode(self, state: _Tried) -> bytes:
        self._kept.append(state.buffer.like())
        return pack([len(self._kept) - 1, self._inner.encode(state.inner)])

    def decode(self, data: bytes) -> _Tried:
        number, inner = unpack(data)
        return _Tried(self._inner.decode(inner), self._kept[number].like())


class _NoRecords(RecordBuffer):
    """Buffer of a state that was read from a run."""

    size = 0
    is_empty = True

    def __init__(self) -> None:
        self.chunks = []

    def add_many(self, records: Sequence[Any]) -> None:
        raise EncodingError("a stored result takes no records.")

    def join(self, other: RecordBuffer) -> None:
        """Do nothing: neither buffer has records."""

    def like(self) -> RecordBuffer:
        return _NoRecords()


class StoredWriter(RecordWriter):
    """Writer of states that were read from a run; it writes nothing."""

    uniform = False

    def buffer(self) -> RecordBuffer:
        return _NoRecords()

    def output(self) -> RecordOutput:
        raise StoreError("a stored result takes no records.")


#: Shape of `WrittenFile.plain`.
_PART_SHAPE = [str, is_count, is_count, str, str, ListOf([is_count, is_count])]

#: Shape of a state: complete parts, and the encoded state of the other aggregator.
_SAVED_SHAPE = [ListOf(_PART_SHAPE), bytes]
