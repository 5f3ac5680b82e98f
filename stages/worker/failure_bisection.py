"""Find failing entries by bisecting a chunk."""

import copy
import datetime
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from elastic.core.encoding import pack
from elastic.core.errors import DecodingError, EncodingError
from elastic.core.model.bad_record import BadRecord
from elastic.core.model.failure import READER, DeadLetter, Failure
from elastic.core.policies.error_policy import OnError
from elastic.core.program import Program
from elastic.core.transform import WHOLE_CHUNK
from elastic.stages.failure_report import failure_of
from elastic.stages.sources.files.lines import LazyLines, LinesOrBad
from elastic.stages.sources.tables.table_entries import TableEntries
from elastic.stages.worker.pipeline import Pipeline

#: Exceptions of user code that the worker catches.
RAISED = (Exception, SystemExit)


class NotToleratedError(Exception):
    """The error policy does not tolerate a failure. Never leaves the worker."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


#: Types of immutable objects. Every run of user code gets a copy of an entry of any other type.
_IMMUTABLE_TYPES = {
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

    bisection: "FailureBisection"
    #: Entries of the whole chunk.
    entries: Sequence[Any]
    first: int
    stop: int
    #: Results of the transforms for this part.
    outputs: list[Any]

    @property
    def size(self) -> int:
        """Number of entries that take part in a vote on compatibility: 0 if the transforms returned nothing."""
        return self.stop - self.first if self.outputs else 0


@dataclass(frozen=True, slots=True)
class BisectedChunk:
    """Parts of chunks that do not fail, in order, and a dead letter for each entry that fails."""

    parts: list[ChunkPart]
    dead_letters: list[DeadLetter]

    @property
    def outputs(self) -> list[Any]:
        """Results of the transforms, in order; each access copies mutable objects."""
        return [output for part in self.parts for output in fresh(part.outputs)]


class FailureBisection:
    """Binary search for the failing entries of one chunk.

    Args:
        program: Program of the step.
        chunk_id: Id of the chunk.
        reference: Reference of the chunk, with which the reader locates entries.
    """

    def __init__(self, program: Program, chunk_id: int, reference: tuple[Any, ...]) -> None:
        self.program, self.chunk_id, self.reference = program, chunk_id, reference

    def parse(self, block: bytes) -> Sequence[Any]:
        """Return the chunk's entries, with a `BadRecord` in the place of each record that is invalid.

        Raises:
            NotToleratedError: The whole block is damaged, which is not an error of an entry.
        """
        reader = self.program.reader
        try:
            try:
                entries = reader.parse(self.reference, block)
            except DecodingError:
                entries = reader.parse_each(self.reference, block)
            return entries if isinstance(entries, LazyLines | LinesOrBad | TableEntries) else list(entries)
        except RAISED as error:
            place = f"the entries from {self.place(0)} on"
            failure = failure_of(error, chunk_id=self.chunk_id, place=place, function=READER)
            raise NotToleratedError(failure) from error

    def run(self, entries: Sequence[Any], first: int = 0, stop: int | None = None) -> BisectedChunk:
        """Run entries `[first, stop)` together; on a failure run both halves, and so on, down to single entries.

        Raises:
            NotToleratedError: An entry fails, and the error policy does not tolerate it.
        """
        bisected = BisectedChunk([], [])
        spans = [(first, len(entries) if stop is None else stop)]
        while spans:
            first, stop = spans.pop()
            try:
                bisected.parts.append(ChunkPart(self, entries, first, stop, self.run_transforms(entries[first:stop])))
            except RAISED as error:
                if self.can_split(first, stop):
                    spans += reversed(halves(first, stop))
                    continue
                outputs, dead_letters = self.retry(entries, first, stop, error)
                if not dead_letters:
                    bisected.parts.append(ChunkPart(self, entries, first, stop, outputs))
                bisected.dead_letters.extend(dead_letters)
        return bisected

    def can_split(self, first: int, stop: int) -> bool:
        """Return whether entries `[first, stop)` may run in two halves."""
        return stop - first > 1 and self._splittable

    def units(self, entries: Sequence[Any]) -> list[tuple[int, int]]:
        """Return the smallest parts `[first, stop)` in which the chunk may run."""
        if entries and self._splittable:
            return [(index, index + 1) for index in range(len(entries))]
        return [(0, len(entries))]

    def run_transforms(self, entries: Sequence[Any]) -> list[Any]:
        """Return the results of the transforms, after a trial of the aggregator on a copy of them.

        Functions get copies of the entries, because the entries may run again. A bad record raises its error before any
        function runs.
        """
        check_parsed(entries)
        run = Pipeline(self.program.transforms, (fresh(entries),))
        outputs = list(run)
        run.check()
        aggregator = self.program.aggregator
        aggregator.add_many(aggregator.create(), iter(fresh(outputs)))
        return outputs

    def retry(
        self, entries: Sequence[Any], first: int, stop: int, error: BaseException
    ) -> tuple[list[Any], list[DeadLetter]]:
        """Run entries that failed with `error` as often as the policy allows; return their results or a dead letter.

        Raises:
            NotToleratedError: The last attempt fails, and the error policy does not tolerate it.
        """
        policy, attempts = self.program.error_policy, 1
        retries = policy.retries_for(error) if _first_bad(entries[first:stop]) is None else 0
        while attempts <= retries:
            threading.Event().wait(policy.backoff.delay(attempts))
            attempts += 1
            try:
                return self.run_transforms(entries[first:stop]), []
            except RAISED as again:
                error = again
        failure = self._failure(entries, first, stop, error)
        try:
            return [], [self.dead_letter(entries, first, stop, failure, attempts)]
        except NotToleratedError as refused:
            raise refused from error

    def dead_letter(self, entries: Sequence[Any], first: int, stop: int, failure: Failure, attempts: int) -> DeadLetter:
        """Return the dead letter of entries that failed.

        Raises:
            NotToleratedError: The error policy does not tolerate failures.
        """
        mode = self.program.error_policy.on_error
        if mode is OnError.FAIL:
            raise NotToleratedError(failure)
        letter = DeadLetter(failure, b"", entries=stop - first, attempts=attempts)
        if mode is OnError.SKIP:
            return letter
        several = [entry.raw if isinstance(entry, BadRecord) else entry for entry in entries[first:stop]]
        kept = several if failure.index is None else several[0]
        try:
            return replace(letter, entry=pack(kept))
        except EncodingError:
            # Only a user's own reader yields objects that are not plain data; keep at least their repr.
            return replace(letter, entry=pack(repr(kept)), exact=False)

    def dead_letter_of_incompatible(
        self, entries: Sequence[Any], first: int, stop: int, error: BaseException
    ) -> DeadLetter:
        """Return the dead letter of entries that fail only together with others; raise as `dead_letter` does."""
        function = f"aggregator {self.program.aggregator}, beside other entries,"
        try:
            return self.dead_letter(entries, first, stop, self.failure(first, stop, function, error), 1)
        except NotToleratedError as refused:
            raise refused from error

    def failure(self, first: int, stop: int, function: str, error: BaseException) -> Failure:
        """Return the failure report of entries `[first, stop)`."""
        whole = not self._splittable or stop - first > 1
        return failure_of(
            error,
            chunk_id=self.chunk_id,
            index=None if whole else first,
            place=self.place(None if whole else first),
            function=function,
        )

    def place(self, index: int | None) -> str:
        """Return the location of an entry in its source, or of the whole chunk (None)."""
        if index is None:
            return f"chunk {self.chunk_id}"
        try:
            return self.program.reader.locate(self.reference, index)
        except Exception as error:
            return f"entry {index} of chunk {self.chunk_id} (its location is unknown: {error})"

    def _failure(self, entries: Sequence[Any], first: int, stop: int, error: BaseException) -> Failure:
        return self.failure(first, stop, self._function(entries[first:stop]), error)

    def _function(self, entries: Sequence[Any]) -> str:
        """Return the name of the failing function: the first transform that fails alone, else the aggregator."""
        if _first_bad(entries) is not None:
            return READER
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
        return not self.program.error_policy.whole_chunks or not whole


def check_parsed(entries: Sequence[Any]) -> None:
    """Check that a reader could parse all records.

    Raises:
        DecodingError: The error of the first bad record.
    """
    bad = _first_bad(entries)
    if bad is not None:
        raise bad.error.with_traceback(None)


def _first_bad(entries: Sequence[Any]) -> BadRecord | None:
    if isinstance(entries, LazyLines | TableEntries) or BadRecord not in set(map(type, entries)):
        return None
    return next(entry for entry in entries if isinstance(entry, BadRecord))


def halves(first: int, stop: int) -> list[tuple[int, int]]:
    """Return both halves of a span of at least two entries."""
    middle = (first + stop) // 2
    return [(first, middle), (middle, stop)]


def fresh(values: Sequence[Any]) -> Sequence[Any]:
    """Return values that user code may modify: deep copies of mutable objects."""
    if isinstance(values, LazyLines | TableEntries) or _IMMUTABLE_TYPES.issuperset(map(type, values)):
        return values
    try:
        return copy.deepcopy(values)
    except Exception:
        # Objects of user classes may refuse to be copied; then user code gets the original.
        return values
