"""State of a writing aggregator: records in memory, the parts that are being written, and the complete parts."""

from collections.abc import Callable, Sequence
from typing import Any

from elastic.core.contracts.record_sink import RecordBuffer, RecordOutput, RecordWriter, columns_error
from elastic.core.errors import StoreError
from elastic.core.model.written import WrittenFile

#: Bytes of encoded records in memory at which a worker writes them: a row group of Parquet.
HELD_BYTES = 16 << 20


class WriteState:
    """State of a writing aggregator on a worker.

    A state without chunks does no I/O: it is a trial, or its chunks are not known yet.
    """

    __slots__ = ("_is_torn", "_output", "_stop", "_writer", "buffer", "inner", "parts")

    def __init__(self, writer: RecordWriter, inner: Any, parts: list[WrittenFile] | None = None) -> None:
        self._writer = writer
        #: State of the aggregator beside the writer.
        self.inner = inner
        self.buffer: RecordBuffer = writer.buffer()
        #: Complete parts.
        self.parts: list[WrittenFile] = parts or []
        self._output: RecordOutput | None = None
        #: End of the chunks in the open parts; None without open parts.
        self._stop: int | None = None
        #: A write failed midway, so some records are neither in memory nor in a part.
        self._is_torn = False

    @property
    def is_written(self) -> bool:
        """True if all records are in complete parts."""
        return self.buffer.is_empty and self._output is None

    @property
    def _held(self) -> int | None:
        """End of the chunks that are in memory or in open parts; None if there are none."""
        return self.buffer.chunks[-1][1] if self.buffer.chunks else self._stop

    def begin(self, first: int, stop: int) -> None:
        """Note the chunks of the records to come, or of those in memory."""
        chunks = self.buffer.chunks
        if chunks and chunks[-1] == (first, stop):
            return
        if self._writer.ordered and self._held not in (None, first):
            self.complete()
        self.buffer.chunks.append((first, stop))

    def add_many(self, records: list[Any]) -> int:
        """Encode records, and write them if there are many; return their bytes.

        Raises as `RecordBuffer.add_many` does, or StoreError.
        """
        before = self.buffer.size
        self.buffer.add_many(records)
        added = self.buffer.size - before
        self.write_if_large()
        return added

    def write_if_large(self) -> None:
        """Write the records in memory if they exceed the limit. Raises StoreError."""
        if self.buffer.size >= HELD_BYTES and self.buffer.chunks:
            self._write()

    def join(self, other: "WriteState") -> None:
        """Add the records and parts of `other`, whose chunks come after those of this state.

        Raises:
            EncodingError: The parts would have different columns; this state still holds exactly its own records.
            StoreError: The records cannot be written.
        """
        self._check_whole()
        other._check_whole()
        if other._output is not None:
            other.complete()
        has_more = not other.buffer.is_empty or bool(other.buffer.chunks)
        follows = other.buffer.chunks[0][0] if other.buffer.chunks else None
        if has_more and self._writer.ordered and self._held not in (None, follows):
            self.complete()
        # Nothing of `other` is in this state before the check, so that its entries can be left out afterwards.
        self.check_columns(other.parts)
        self.parts += other.parts
        if has_more:
            self.buffer.join(other.buffer)

    def complete(self) -> None:
        """Write all records in memory, and complete all open parts.

        Raises:
            EncodingError: The parts have different columns.
            StoreError: The records cannot be written, now or earlier.
        """
        self._check_whole()
        if not self.buffer.is_empty:
            self._write()
        self.buffer.chunks.clear()
        if self._output is not None:
            output, self._output, self._stop = self._output, None, None
            self._add(output.close)

    def check_columns(self, parts: Sequence[WrittenFile]) -> None:
        """Check that parts have the columns of the complete parts of this state, and equal ones if it has none.

        Raises:
            EncodingError: Two parts have different columns, so that programs could not read them together.
        """
        if not self._writer.uniform or not parts:
            return
        one = (self.parts or parts)[0].columns
        two = next((part.columns for part in parts if part.columns != one), one)
        if one != two:
            raise columns_error(one, two)

    def _check_whole(self) -> None:
        if self._is_torn:
            raise StoreError("records could not be written, and a part of them is lost on this worker; resume the run.")

    def _add(self, write: Callable[[], list[WrittenFile]]) -> None:
        """Add the parts that a write completes; they stay in the state if their columns differ, since it had them."""
        self._check_whole()
        self._is_torn = True
        parts = write()
        self._is_torn = False
        self.parts += parts
        self.check_columns(parts)

    def _write(self) -> None:
        chunks = self.buffer.chunks
        last = chunks[-1]
        if self._output is None:
            self._output = self._writer.output()
        output, buffer = self._output, self.buffer
        self._add(lambda: output.write(buffer))
        self._stop = last[1]
        # More records of the last batch may follow.
        self.buffer.chunks = [last]
