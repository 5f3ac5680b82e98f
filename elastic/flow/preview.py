"""Preview: the first records of a flow, computed in this process, without a run."""

import copy
import html
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import Any

from elastic.aggregators import Nothing, Size, Sum
from elastic.core.clock import SystemClock
from elastic.core.contracts.source import Reader
from elastic.core.encoding import decompress, framer
from elastic.core.errors import ElasticError, EntryError, SourceError, UsageError
from elastic.core.frames import frame_records, is_frame
from elastic.core.ledger.error_budget import ErrorBudget
from elastic.core.model.chunk import Chunk, SourcePiece
from elastic.core.model.failure import DeadLetter
from elastic.core.program import Program
from elastic.core.record_table import LINE, RecordTable, fields_of
from elastic.core.text import error_text, message, one_line
from elastic.core.transform import OF_FRAMES, WHOLE_CHUNK, FrameWords, Map, Transform, Words
from elastic.engine.chunker import chunk_of, wrap_source_errors
from elastic.engine.step import Step
from elastic.stages.worker.failure_bisection import RAISED, FailureBisection, NotToleratedError, check_parsed
from elastic.stages.worker.pipeline import Pipeline

#: Width of a table where there is no terminal, in columns.
_TEXT_WIDTH = 120
#: Options of a count.
_IN_THIS_PROCESS = {"cluster": "inline", "persist": False}
#: Records that a notebook shows of a flow.
_HTML_RECORDS = 5


@dataclass(frozen=True, slots=True)
class FieldTypes:
    """Types of one field in the records that were looked at."""

    name: str
    #: Names of the types in the order in which they were found; of a frame's column, the type that the frame has.
    types: tuple[str, ...]
    #: Number of records without the field.
    missing: int = 0


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """Fields of the first records of a flow."""

    fields: tuple[FieldTypes, ...]
    #: Number of records that were looked at.
    records: int
    #: True if the flow has no other records, as far as the look shows.
    is_all: bool

    def __str__(self) -> str:
        width = max((len(field.name) for field in self.fields), default=0)
        lines = [f"{field.name:<{width}}   {self._types(field)}" for field in self.fields]
        return "\n".join([*lines, f"({self._counted})"])

    def _types(self, field: FieldTypes) -> str:
        missing = f", missing in {field.missing:,}" if field.missing else ""
        return " or ".join(field.types) + missing

    @property
    def _counted(self) -> str:
        if not self.records:
            return "the flow has no records"
        if self.is_all:
            return "of the only record" if self.records == 1 else f"of all {self.records:,} records"
        return f"of the first {self.records:,} record{'s' * (self.records != 1)}"


def first_records(step: Step, count: int) -> list[Any]:
    """Return the first `count` records after the transforms of a step, in the order of its source.

    A row of a frame is a record, as a dict by column.

    Raises:
        EntryError: A function failed on an entry, and the error policy does not tolerate it.
        SourceError: The source cannot be read, or would lose the records.
    """
    records: list[Any] = []
    for results in _Look(step, count).results() if count else ():
        for result in results:
            if is_frame(result):
                records.extend(frame_records(result.head(count - len(records))))
            else:
                records.append(result)
        if len(records) >= count:
            break
    return records[:count]


def schema_of(step: Step, count: int) -> RecordSchema:
    """Return the fields of the first `count` records, and their types. Raises as `first_records` does."""
    frames: dict[str, dict[str, None]] = {}
    records: list[Any] = []
    rows = 0
    for results in _Look(step, count).results():
        for result in results:
            if is_frame(result):
                rows += result.height
                for name, kind in result.schema.items():
                    frames.setdefault(name, {})[str(kind)] = None
            else:
                records.append(result)
        if len(records) + rows >= count:
            break
    seen = records[: max(0, count - rows)]
    fields = [*_frame_fields(frames), *_record_fields(seen)]
    return RecordSchema(tuple(fields), min(len(records) + rows, count), is_all=len(records) + rows < count)


def count_records(step: Step) -> int:
    """Count the records of a step in this process, and leave no run; a frame has as many as it has rows.

    Other values of `cluster` and `persist` that the user has given count. Raises as `run` does.
    """
    if not step.transforms:
        with wrap_source_errors():
            known = copy.copy(step.source).counted_entries()
        if known is not None:
            return known
    from elastic.engine.run import run

    options = step.options.with_defaults(_IN_THIS_PROCESS)
    has_frames = any(isinstance(transform, OF_FRAMES) for transform in step.transforms)
    transforms = (*step.transforms, Map(_height)) if has_frames else step.transforms
    source = step.source if step.transforms else step.source.counting()
    counted = Step.of(source, transforms, Sum() if has_frames else Size(), options)
    count: int = run(counted).value
    return count


def _height(result: Any) -> int:
    return result.height if is_frame(result) else 1


def table_text(records: Sequence[Any], encoding: str | None) -> str:
    """Return records as a table of the width of the terminal, in characters that an encoding has."""
    if not records:
        return "(no records)"
    text = RecordTable.of(records).text(get_terminal_size((_TEXT_WIDTH, 0)).columns)
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace(LINE, "-").encode(encoding, "backslashreplace").decode(encoding)
    return text


def flow_html(title: str, step: Step) -> str:
    """Return the first records of a step as HTML; in place of records that cannot be computed, the reason."""
    try:
        records = first_records(step, _HTML_RECORDS)
        body = RecordTable.of(records).html() if records else "<p>(no records)</p>"
    except ElasticError as error:
        body = f"<p>{html.escape(message(error_text(error)))}</p>"
    return f"<div><p><code>{html.escape(one_line(title))}</code></p>{body}</div>"


def _frame_fields(frames: dict[str, dict[str, None]]) -> Iterator[FieldTypes]:
    for name, kinds in frames.items():
        yield FieldTypes(name, tuple(kinds))


def _record_fields(records: list[Any]) -> Iterator[FieldTypes]:
    types: dict[Any, dict[str, None]] = {}
    found: Counter[Any] = Counter()
    for record in records:
        for name, value in fields_of(record).items():
            types.setdefault(name, {})[type(value).__name__] = None
            found[name] += 1
    for name, kinds in types.items():
        yield FieldTypes(str(name), tuple(kinds), len(records) - found[name])


class _Look:
    """One pass over the first entries of a step's source, with the functions and the error policy of the step.

    Functions of single entries run on few entries at a time, and functions of chunks on the chunks of a run.

    Args:
        step: The step.
        count: Number of records that the caller wants.
    """

    def __init__(self, step: Step, count: int) -> None:
        # A copy, because a file source keeps the files that it finds, and a run must find them again.
        self._source = copy.copy(step.source) if step.source.replayable else step.source
        #: Number of records that are still wanted, and how many entries to run for each of them.
        self._left, self._per_record = count, 1
        self._project = step.options.project
        self._is_whole = any(_is_whole_chunk(transform) for transform in step.transforms)
        self._step = Step.of(self._source, step.transforms, Nothing(), step.options)
        self._budget = ErrorBudget(step.options.error_policy)
        self._counters: Counter[str] = Counter()

    def results(self) -> Iterator[list[Any]]:
        """Yield the results of the transforms, some at a time, in the order of the source."""
        with wrap_source_errors():
            pieces = self._source.peek(whole_chunks=self._is_whole)
            reader = self._step.reader()
        if not isinstance(reader, Reader):
            raise SourceError(f"{type(self._source).__name__}.reader returned {reader!r}; it must return a Reader.")
        program = Program(reader, self._step.transforms, Nothing(), self._step.options.error_policy, b"", "", 0)
        with closing(_drawn(pieces)) as drawn:
            for chunk_id, piece in drawn:
                yield from self._chunk_results(program, self._chunk(chunk_id, piece))
        self._check_budget(is_end=True)

    def _chunk(self, chunk_id: int, piece: SourcePiece) -> Chunk:
        if not isinstance(piece, SourcePiece):
            raise SourceError(f"the source yielded {piece!r}; its cut must yield elastic.SourcePiece.")
        cut_at = int(SystemClock().now() * 1e6)
        return chunk_of(piece, chunk_id, cut_at, self._project, framer(compressed=False))

    def _chunk_results(self, program: Program, chunk: Chunk) -> Iterator[list[Any]]:
        bisection = FailureBisection(program, chunk.chunk_id, chunk.reference)
        with wrap_source_errors():
            payload = chunk.payload
            block = program.reader.read_block(chunk.reference) if payload is None else decompress(payload)
        entries = _parsed(bisection, block)
        try:
            for first, stop in self._spans(len(entries)):
                results, dead_letters = self._span_results(bisection, block, entries[first:stop], (first, stop))
                self._record(stop - first, results, dead_letters)
                yield results
        except NotToleratedError as refused:
            raise EntryError(str(refused.failure)) from refused.__cause__

    def _spans(self, entries: int) -> Iterator[tuple[int, int]]:
        """Yield the parts `[first, stop)` of a chunk that run together."""
        if self._is_whole:
            yield 0, entries
            return
        first = 0
        while first < entries and self._left > 0:
            stop = min(first + self._left * self._per_record, entries)
            yield first, stop
            first = stop

    def _span_results(
        self, bisection: FailureBisection, block: bytes, entries: Any, span: tuple[int, int]
    ) -> tuple[list[Any], list[DeadLetter]]:
        run = Pipeline(bisection.program.transforms, (entries,))
        try:
            check_parsed(entries)
            results = list(run)
            run.check()
        except RAISED:
            # Parsed again, because functions may have changed the entries.
            bisected = bisection.run(bisection.parse(block), *span)
            return bisected.outputs, bisected.dead_letters
        return results, []

    def _record(self, entries: int, results: list[Any], dead_letters: list[DeadLetter]) -> None:
        found = sum(map(_height, results))
        self._left -= found
        # A filter that lets few entries through gets more and more of them at a time.
        self._per_record = 1 if found >= entries else 2 * self._per_record
        self._counters.update(entries=entries, entries_failed=sum(letter.entries for letter in dead_letters))
        if dead_letters:
            self._budget.record([letter.failure for letter in dead_letters])
            self._check_budget()

    def _check_budget(self, *, is_end: bool = False) -> None:
        failed = self._budget.check(self._counters, is_end=is_end)
        if failed is not None:
            raise EntryError(f"{failed.excess}: {failed.failure}")


def _is_whole_chunk(transform: Transform) -> bool:
    """Return whether the results of a transform depend on the limits of the chunks; those of `words` do not."""
    return isinstance(transform, WHOLE_CHUNK) and not isinstance(transform, (Words, FrameWords))


def _drawn(pieces: Iterator[tuple[int, SourcePiece]]) -> Generator[tuple[int, SourcePiece]]:
    """Yield the pieces, with the errors of a user's source as those of a run."""
    try:
        while True:
            with wrap_source_errors():
                found = next(pieces, None)
            if found is None:
                return
            yield found
    finally:
        if hasattr(pieces, "close"):
            pieces.close()


def _parsed(bisection: FailureBisection, block: bytes) -> Sequence[Any]:
    try:
        return bisection.parse(block)
    except NotToleratedError as refused:
        with wrap_source_errors():
            raise (refused.__cause__ or refused) from None


def checked_count(method: str, value: Any, *, least: int = 0) -> int:
    """Return a number of records.

    Raises:
        UsageError: It is not a whole number of at least `least`.
    """
    if type(value) is not int or value < least:
        raise UsageError(f"{method}({value!r}): expected a whole number of records, of at least {least}.")
    return value
