"""Which entry a batch failed on: found by running the batch again, entry by entry."""

import traceback
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from elastic.core.errors import DecodingError
from elastic.core.failure import Failure
from elastic.core.program import Program
from elastic.core.transform import WHOLE_CHUNK, Transform
from elastic.stages.transforms import Pass
from elastic.stages.wire import Call

#: Characters of a message, and of a traceback (its end), that are kept.
_MESSAGE_LIMIT = 500
_TRACEBACK_LIMIT = 8000


@dataclass(frozen=True, slots=True)
class Culprit:
    """Looks for the chunk, entry and function that made a batch fail."""

    program: Program
    call: Call
    blocks: list[bytes]

    def find(self, error: BaseException) -> Failure:
        """Return the first failure of the batch; when nothing fails the second time, that of the first time."""
        for index, (reference, block) in enumerate(zip(self.call.references, self.blocks, strict=True)):
            chunk_id = self.call.first + index
            try:
                entries = self.program.reader.parse(reference, block)
            except (Exception, SystemExit) as unreadable:
                return failure_of(unreadable, chunk_id=chunk_id, place=str(reference[0]), function="the reader")
            found = self._in_chunk(entries)
            if found is not None:
                position, function, reason = found
                place = self._place(index, position)
                return failure_of(reason, chunk_id=chunk_id, index=position, place=place, function=function)
        last = self.call.first + len(self.blocks) - 1
        place = f"chunks {self.call.first} to {last}, but not when they ran again entry by entry"
        return failure_of(error, chunk_id=self.call.first, place=place, function=self._aggregator)

    @property
    def _aggregator(self) -> str:
        return f"aggregator {self.program.aggregator}"

    def _in_chunk(self, entries: Collection[Any]) -> tuple[int | None, str, BaseException] | None:
        """Return the index of the entry that fails (None for the whole chunk), the function and the error."""
        whole = any(isinstance(transform, WHOLE_CHUNK) for transform in self.program.transforms)
        pieces: Iterable[tuple[int | None, Collection[Any]]] = (
            [(None, entries)] if whole else ((index, (entry,)) for index, entry in enumerate(entries))
        )
        state = self.program.aggregator.create()
        for index, piece in pieces:
            outputs: Collection[Any] = piece
            for transform in self.program.transforms:
                try:
                    outputs = _run((transform,), outputs)
                except (Exception, SystemExit) as error:
                    return index, str(transform), error
            try:
                state = self.program.aggregator.add_many(state, outputs)
            except (Exception, SystemExit) as error:
                return index, self._aggregator, error
        return None

    def _place(self, index: int, position: int | None) -> str:
        if position is None:
            return f"chunk {self.call.first + index}"
        try:
            return self.program.reader.locate(self.call.references[index], position)
        except Exception as error:
            return f"entry {position} of the chunk (its place is unknown: {error})"


def _run(transforms: tuple[Transform, ...], entries: Collection[Any]) -> list[Any]:
    run = Pass(transforms, (entries,))
    outputs = list(run)
    run.check()
    return outputs


def failure_of(error: BaseException, *, chunk_id: int, place: str, function: str, index: int | None = None) -> Failure:
    """Return an exception as plain data; it need not be picklable, nor its text be printable."""
    try:
        message = str(error)
    except Exception as unprintable:
        message = f"(its text cannot be made: {type(unprintable).__name__})"
    if isinstance(error, DecodingError):
        place = f"{error.path!r}, byte {error.byte}"
    trace = "".join(traceback.format_exception(error))
    return Failure(
        chunk_id=chunk_id,
        index=index,
        place=place,
        function=function,
        error_type=type(error).__name__,
        message=message[:_MESSAGE_LIMIT],
        traceback=trace[-_TRACEBACK_LIMIT:],
    )
