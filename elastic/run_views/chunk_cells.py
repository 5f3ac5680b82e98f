"""Cells of a grid of chunks: one byte for each chunk, or for several chunks."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import CorruptStoreError, UsageError
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.live_view import LiveView
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.stage import Stage
from elastic.persistence.run_store.inspection import PackedRow, RunReader
from elastic.persistence.run_store.receipt_codec import failed_of, unpack_row

#: Maximum number of cells; with more chunks, a cell represents several.
MAX_CELLS = 120_000
#: Maximum number of chunks of a grid; the page of a longer step shows a part of it.
MAX_CHUNKS = 4_000_000
#: Number of distinct colours for workers, and for grades of time and size.
MAX_GRADES = 16


class CellState(IntEnum):
    """State of a chunk as a byte. Values 1 to 6 are its stages in order; larger values override them."""

    UNKNOWN = 0  #: not cut yet, or unknown
    CUT = 1
    SENT = 2
    RECEIVED = 3
    PROCESSED = 4
    RETURNED = 5
    AGGREGATED = 6
    BAD = 7  #: in the result, except failed entries
    RESENT = 8  #: lost, and sent again
    REDRIVEN = 9  #: in the result; its dead letters were redriven
    DAMAGED = 10  #: its receipt row is damaged


_STAGE_STATES = {
    Stage.DISTRIBUTED.value: CellState.CUT,
    Stage.SENT.value: CellState.SENT,
    Stage.RECEIVED.value: CellState.RECEIVED,
    Stage.PROCESSED.value: CellState.PROCESSED,
    Stage.RETURNED.value: CellState.RETURNED,
    Stage.AGGREGATED.value: CellState.AGGREGATED,
}

#: From the best to the worst: a cell of several chunks shows the worst state.
_FROM_BEST = bytes((6, 9, 5, 4, 3, 2, 1, 0, 8, 7, 10))
_RANKS = bytes(_FROM_BEST.find(bytes([state])) % 256 for state in range(256))
_STATES = bytes([*_FROM_BEST, *bytes(256 - len(_FROM_BEST))])

#: Ways to colour the grid.
COLOURINGS = ("state", "worker", "attempt", "time", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCells:
    """Cells of the chunks `[first, stop)` of a step."""

    first: int
    stop: int
    #: number of known chunks of the whole step
    total: int
    #: number of chunks per cell
    per_cell: int
    by: str
    cells: bytes
    #: names of the values from 1 on, if the colouring is not by state
    legend: tuple[str, ...] = ()
    #: spans of chunks with damaged receipt rows
    damaged: tuple[tuple[int, int], ...] = ()

    def counts(self) -> dict[int, int]:
        """Return the number of cells of each occurring value."""
        return {value: count for value in range(256) if (count := self.cells.count(value))}


def cells_of(
    reader: RunReader,
    record: StepRecord,
    live: LiveView | None,
    *,
    by: str = "state",
    span: tuple[int, int | None] = (0, None),
    max_cells: int = MAX_CELLS,
) -> ChunkCells:
    """Return the cells of a step, or of some of its chunks.

    Args:
        reader: Reader of the run.
        record: Record of the step.
        live: Live view of the master, if there is one.
        by: One of `COLOURINGS`.
        span: First chunk, and one past the last chunk; None for all following chunks, at most `MAX_CHUNKS`.
        max_cells: Maximum number of cells.

    Raises:
        UsageError: The colouring is unknown, or the step has no such chunks.
    """
    if by not in COLOURINGS:
        raise UsageError(f"unknown colouring {by!r}; choose one of {', '.join(COLOURINGS)}.")
    total, (first, stop) = chunks_of(record, live), span
    if not 0 <= first <= total or (stop is not None and stop < first) or max_cells < 1:
        raise UsageError(f"there are no chunks from {first} to {stop}; the step has {total:,}, counted from 0.")
    stop = min(total if stop is None else stop, total, first + MAX_CHUNKS)
    grid = _Grid(reader, record, live, first, stop)
    values, legend = grid.states() if by == "state" else grid.grades(by)
    per_cell = max(1, -(-(stop - first) // max_cells))
    return ChunkCells(
        first=first,
        stop=stop,
        total=total,
        per_cell=per_cell,
        by=by,
        cells=_grouped(values, per_cell, by_state=by == "state"),
        legend=legend,
        damaged=tuple(grid.damaged),
    )


def chunks_of(record: StepRecord, live: LiveView | None) -> int:
    """Return the total number of chunks of a step, or the number of known chunks."""
    folded = ChunkIdSet.of(record.low, record.bitmap)
    known = [folded.low, *(stop for _, stop in folded.above), *map(_counter, (record.counters.get("cut", 0),))]
    if live is not None:
        known += [live.cut_chunks, *(span.stop for span in live.spans), live.expected_chunks or 0]
    return max(known)


def _counter(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 62 else 0


class _Grid:
    """Values of the chunks `[first, stop)`, one byte each."""

    def __init__(self, reader: RunReader, record: StepRecord, live: LiveView | None, first: int, stop: int) -> None:
        self._reader, self._record, self._live = reader, record, live
        self._first, self._stop = first, stop
        self._values = bytearray(stop - first)
        self.damaged: list[tuple[int, int]] = []

    def states(self) -> tuple[bytearray, tuple[str, ...]]:
        cut = max(_counter(self._record.counters.get("cut", 0)), self._live.cut_chunks if self._live else 0)
        self._fill(0, cut, CellState.CUT)
        for span in self._live.spans if self._live else ():
            is_again = span.attempt > 1 and span.stage != Stage.AGGREGATED.value
            self._fill(span.first, span.stop, CellState.RESENT if is_again else _STAGE_STATES[span.stage])
        folded = ChunkIdSet.of(self._record.low, self._record.bitmap)
        for first, stop in [(0, folded.low), *folded.above]:
            self._fill(first, stop, CellState.AGGREGATED)
        for row in self._rows():
            if row.attempt > 1:
                self._fill(row.first, row.stop, CellState.RESENT)
            for index, failed in enumerate(failed_of(row.first, row.stop - row.first, row.data)):
                if failed:
                    self._fill(row.first + index, row.first + index + 1, CellState.BAD)
        for chunk_id, letters, redriven in self._reader.letters_by_chunk(self._record.step, self._first, self._stop):
            state = CellState.REDRIVEN if redriven == letters else CellState.BAD
            self._fill(chunk_id, chunk_id + 1, state)
        for first, stop in self.damaged:
            self._fill(first, stop, CellState.DAMAGED)
        return self._values, ()

    def grades(self, by: str) -> tuple[bytearray, tuple[str, ...]]:
        if by == "worker":
            return self._by_worker()
        if by == "attempt":
            return self._by_attempt()
        return self._by_column("cut_at" if by == "time" else "entries")

    def _by_worker(self) -> tuple[bytearray, tuple[str, ...]]:
        names: dict[str, int] = {}
        for row in self._rows():
            grade = names.setdefault(row.worker_id, min(len(names) + 1, MAX_GRADES))
            self._fill(row.first, row.stop, grade)
        listed = list(names)
        legend = listed if len(listed) <= MAX_GRADES else [*listed[: MAX_GRADES - 1], "others"]
        return self._values, tuple(legend)

    def _by_attempt(self) -> tuple[bytearray, tuple[str, ...]]:
        highest = 0
        for row in self._rows():
            grade = max(1, min(row.attempt, MAX_GRADES))
            highest = max(highest, grade)
            self._fill(row.first, row.stop, grade)
        return self._values, tuple(f"attempt {number}" for number in range(1, highest + 1))

    def _by_column(self, name: str) -> tuple[bytearray, tuple[str, ...]]:
        """Grade chunks by equal parts of the range between the smallest and the largest value."""
        kept = [(row.first, getattr(row.columns, name)) for row in self._unpacked()]
        if not kept:
            return self._values, ()
        low, high = min(min(values) for _, values in kept), max(max(values) for _, values in kept)
        grades = min(MAX_GRADES, high - low + 1)
        for first, values in kept:
            grade_of = {value: (value - low) * grades // (high - low + 1) + 1 for value in set(values)}
            begin, end = max(first, self._first), min(first + len(values), self._stop)
            self._values[begin - self._first : end - self._first] = bytes(
                [grade_of[value] for value in values[begin - first : end - first]]
            )
        return self._values, (str(low), str(high))

    def _unpacked(self) -> Iterator[ReceiptRow]:
        for row in self._rows():
            try:
                found = unpack_row(row.first, row.stop - row.first, row.attempt, (row.node_id, row.worker_id), row.data)
            except CorruptStoreError:
                self.damaged.append((row.first, row.stop))
            else:
                yield found

    def _rows(self) -> Iterator[PackedRow]:
        for row in self._reader.rows_between(self._record.step, self._first, self._stop):
            if row.is_intact:
                yield row
            else:
                self.damaged.append((row.first, row.stop))

    def _fill(self, first: int, stop: int, value: int) -> None:
        begin, end = max(first, self._first) - self._first, min(stop, self._stop) - self._first
        if begin < end:
            self._values[begin:end] = bytes([value]) * (end - begin)


def _grouped(values: bytearray, per_cell: int, *, by_state: bool) -> bytes:
    """Return the largest value of each group of `per_cell` values; for states, the worst one."""
    if per_cell == 1:
        return bytes(values)
    ranks = values.translate(_RANKS) if by_state else values
    grouped = bytes(max(ranks[at : at + per_cell]) for at in range(0, len(ranks), per_cell))
    return grouped.translate(_STATES) if by_state else grouped


def spans_of(cells: ChunkCells, values: Iterable[int]) -> list[tuple[int, int, int]]:
    """Return the spans of chunks `(first, stop, value)` with one of the values, for a table."""
    wanted = sorted(values)
    spans: list[tuple[int, int, int]] = []
    for index, value in enumerate(cells.cells):
        at = bisect_left(wanted, value)
        if at == len(wanted) or wanted[at] != value:
            continue
        first = cells.first + index * cells.per_cell
        stop = min(first + cells.per_cell, cells.stop)
        if spans and spans[-1][1] == first and spans[-1][2] == value:
            spans[-1] = (spans[-1][0], stop, value)
        else:
            spans.append((first, stop, value))
    return spans
