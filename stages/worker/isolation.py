"""Which entries user code fails on: found by running a chunk again, in ever smaller parts."""

import copy
import datetime
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from elastic.core.encoding import pack
from elastic.core.errors import EncodingError
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.policies.error_policy import OnError
from elastic.core.program import Program
from elastic.core.transform import WHOLE_CHUNK
from elastic.stages.failure_report import failure_of
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.worker.pipeline import Pipeline

#: What user code may raise and a worker survives.
RAISED = (Exception, SystemExit)


class NotToleratedError(Exception):
    """Something failed, and the tolerance does not bear it; never leaves the worker."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


#: Types of which an object never changes; of an entry of any other type each run gets a copy.
_UNCHANGING = {
    bool,
    bytes,
    datetime.date,
    datetime.datetime,
    datetime.timedelta,
    Decimal,
    float,
    Fraction,
    int,
    str,
    type(None),
}


@dataclass(frozen=True, slots=True)
class ChunkPart:
    """Entries `[first, stop)` of a chunk that do not fail by themselves."""

    isolation: "FailureBisection"
    #: those of the whole chunk
    entries: Sequence[Any]
    first: int
    stop: int
    #: what the transforms made of them
    outputs: list[Any]

    @property
    def size(self) -> int:
        """Entries that have a say in what goes together: none where the transforms left nothing."""
        return self.stop - self.first if self.outputs else 0


@dataclass(frozen=True, slots=True)
class BisectedChunk:
    """Parts of chunks that do not fail, in order, and a letter for each entry that does."""

    parts: list[ChunkPart]
    letters: list[DeadLetter]

    @property
    def outputs(self) -> list[Any]:
        """What the transforms made of the parts, in order; each call copies what user code may change."""
        return [output for part in self.parts for output in fresh(part.outputs)]


class FailureBisection:
    """Sifts one chunk.

    Args:
        program: What is run.
        chunk_id: The chunk.
        reference: Names the chunk to the reader, for the places of entries.
    """

    def __init__(self, program: Program, chunk_id: int, reference: tuple[Any, ...]) -> None:
        self.program, self.chunk_id, self.reference = program, chunk_id, reference

    def parse(self, block: bytes) -> Sequence[Any]:
        """Return the chunk's entries.

        Raises:
            RefusedError: The bytes are not what they should be, which is no fault of user code.
        """
        try:
            entries = self.program.reader.parse(self.reference, block)
            return entries if isinstance(entries, LazyLines) else list(entries)
        except RAISED as error:
            failure = failure_of(error, chunk_id=self.chunk_id, place=repr(self.reference), function="the reader")
            raise NotToleratedError(failure) from error

    def sift(self, entries: Sequence[Any], first: int = 0, stop: int | None = None) -> BisectedChunk:
        """Run entries `[first, stop)` as a whole, in halves if that fails, and so on, down to single entries.

        Raises:
            RefusedError: An entry fails, and entries must not.
        """
        sifted = BisectedChunk([], [])
        spans = [(first, len(entries) if stop is None else stop)]
        while spans:
            first, stop = spans.pop()
            try:
                sifted.parts.append(ChunkPart(self, entries, first, stop, self.run(entries[first:stop])))
            except RAISED as error:
                if self.can_split(first, stop):
                    spans += reversed(halves(first, stop))
                    continue
                outputs, letters = self.retry(entries, first, stop, error)
                if not letters:
                    sifted.parts.append(ChunkPart(self, entries, first, stop, outputs))
                sifted.letters.extend(letters)
        return sifted

    def can_split(self, first: int, stop: int) -> bool:
        """Tell whether entries `[first, stop)` may be run in halves."""
        return stop - first > 1 and self._splittable

    def units(self, entries: Sequence[Any]) -> list[tuple[int, int]]:
        """Return the smallest parts `[first, stop)` that the chunk may be run in."""
        if entries and self._splittable:
            return [(index, index + 1) for index in range(len(entries))]
        return [(0, len(entries))]

    def run(self, entries: Sequence[Any]) -> list[Any]:
        """Return what the transforms make of entries, after a trial of the aggregator on a copy of it.

        The entries stay as they are, whatever the functions do to those that they get: they are run again.
        """
        run = Pipeline(self.program.transforms, (fresh(entries),))
        outputs = list(run)
        run.check()
        aggregator = self.program.aggregator
        aggregator.add_many(aggregator.create(), iter(fresh(outputs)))
        return outputs

    def retry(
        self, entries: Sequence[Any], first: int, stop: int, error: BaseException
    ) -> tuple[list[Any], list[DeadLetter]]:
        """Run what failed with `error` as often as it may be; returns outputs, or a letter.

        Raises:
            RefusedError: It fails, and entries must not.
        """
        tolerance, tries = self.program.tolerance, 1
        while tries <= tolerance.retries_for(error):
            threading.Event().wait(tolerance.retry_delay * 2 ** (tries - 1))
            tries += 1
            try:
                return self.run(entries[first:stop]), []
            except RAISED as again:
                error = again
        failure = self._failure(entries, first, stop, error)
        try:
            return [], [self.letter(entries, first, stop, failure, tries)]
        except NotToleratedError as refused:
            raise refused from error

    def letter(self, entries: Sequence[Any], first: int, stop: int, failure: Failure, tries: int) -> DeadLetter:
        """Return what is kept of entries that failed.

        Raises:
            RefusedError: Entries must not fail.
        """
        mode = self.program.tolerance.on_error
        if mode is OnError.FAIL:
            raise NotToleratedError(failure)
        letter = DeadLetter(failure, b"", entries=stop - first, attempts=tries)
        if mode is OnError.SKIP:
            return letter
        kept = list(entries[first:stop]) if failure.index is None else entries[first]
        try:
            return replace(letter, entry=pack(kept))
        except EncodingError:
            # Only a reader of the user's own yields what is no plain data; its text is better than nothing.
            return replace(letter, entry=pack(repr(kept)), exact=False)

    def stray(self, entries: Sequence[Any], first: int, stop: int, error: BaseException) -> DeadLetter:
        """Return what is kept of entries that fail beside others, and not by themselves. Raises as `letter` does."""
        function = f"aggregator {self.program.aggregator}, beside other entries,"
        try:
            return self.letter(entries, first, stop, self.failure(first, stop, function, error), 1)
        except NotToleratedError as refused:
            raise refused from error

    def failure(self, first: int, stop: int, function: str, error: BaseException) -> Failure:
        """Return what is told of entries that failed."""
        whole = not self._splittable or stop - first > 1
        return failure_of(
            error,
            chunk_id=self.chunk_id,
            index=None if whole else first,
            place=self.place(None if whole else first),
            function=function,
        )

    def place(self, index: int | None) -> str:
        """Say where an entry lies; None for the whole chunk."""
        if index is None:
            return f"chunk {self.chunk_id}"
        try:
            return self.program.reader.locate(self.reference, index)
        except Exception as error:
            return f"entry {index} of chunk {self.chunk_id} (its place is unknown: {error})"

    def _failure(self, entries: Sequence[Any], first: int, stop: int, error: BaseException) -> Failure:
        return self.failure(first, stop, self._function(entries[first:stop]), error)

    def _function(self, entries: Sequence[Any]) -> str:
        """Return the name of the function that fails on entries: the first one that does so by itself."""
        outputs: Sequence[Any] = fresh(entries)
        for transform in self.program.transforms:
            run = Pipeline((transform,), (outputs,))
            try:
                outputs = list(run)
                run.check()
            except RAISED:
                return str(transform)
        return f"aggregator {self.program.aggregator}"

    @property
    def _splittable(self) -> bool:
        whole = any(isinstance(transform, WHOLE_CHUNK) for transform in self.program.transforms)
        return not self.program.tolerance.whole_chunks or not whole


def halves(first: int, stop: int) -> list[tuple[int, int]]:
    """Return both halves of a span of at least two entries."""
    middle = (first + stop) // 2
    return [(first, middle), (middle, stop)]


def fresh(values: Sequence[Any]) -> Sequence[Any]:
    """Return values that user code may change: copies, so that the given ones stay as they are."""
    if isinstance(values, LazyLines) or _UNCHANGING.issuperset(map(type, values)):
        return values
    try:
        return copy.deepcopy(values)
    except Exception:
        # Only objects of the user's own cannot be copied; no copy is better than no answer.
        return values
