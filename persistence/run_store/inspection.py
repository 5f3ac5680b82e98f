"""Reader for verification: returns the rows of a run one by one, and skips no damaged row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import ElasticError
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.dead_letter_table import WHOLE_CHUNK
from elastic.persistence.run_store.progress_row import row_mac
from elastic.persistence.run_store.sqlite_file import BUSY_SECONDS
from elastic.persistence.run_store.sqlite_store import MAX_CHUNK_ID, SqliteRunStore, receipt_mac

#: Rows per SELECT.
_PAGE_ROWS = 256
#: Maximum number of chunks of a receipt row; a larger count is damage.
_MAX_ROW_CHUNKS = 1 << 24
_RECEIPTS = """
SELECT receipt.rowid, first, count, attempt, node_id, worker_id, data, seal
FROM receipt LEFT JOIN worker ON worker.id = receipt.worker
WHERE step=? AND first>? AND typeof(first)='integer' AND receipt.rowid<=? ORDER BY first LIMIT ?
"""
_RECEIPTS_AS_FOLDED = _RECEIPTS.replace("first>?", "receipt.rowid>?").replace(
    "ORDER BY first", "ORDER BY receipt.rowid"
)
# One statement, so that no commit of a master comes between. Later rows have larger rowids.
_SNAPSHOT = """
SELECT partials, receipts, letters, redriven, (SELECT ifnull(max(rowid), 0) FROM receipt) FROM progress WHERE step=?
"""
# For a dead letter longer than the parameter, read only the length.
_LETTERS = """
SELECT chunk, entry, redriven, length(data), CASE WHEN length(data) <= ?2 THEN data END, seal FROM letter
WHERE step = ?1 AND (chunk, entry) > (?3, ?4) AND chunk < ?5 AND typeof(chunk) = 'integer' AND typeof(entry) = 'integer'
    AND (redriven = 0 OR ?6) ORDER BY chunk, entry LIMIT ?7
"""
_ROWS_BETWEEN = """
SELECT first, count, attempt, node_id, worker_id, data, seal
FROM receipt LEFT JOIN worker ON worker.id = receipt.worker
WHERE step=? AND first>=? AND first<? AND typeof(first)='integer' AND typeof(count)='integer' ORDER BY first LIMIT ?
"""
_FIRST_AT = "SELECT max(first) FROM receipt WHERE step=? AND first<=? AND typeof(first)='integer'"
_LETTERS_BY_CHUNK = """
SELECT chunk, count(*), sum(redriven <> 0) FROM letter
WHERE step=? AND typeof(chunk)='integer' AND chunk>=? AND chunk<? GROUP BY chunk ORDER BY chunk
"""
_WORKERS = """
SELECT node_id, worker_id, sum(count), count(*), max(attempt)
FROM receipt LEFT JOIN worker ON worker.id = receipt.worker
WHERE step=? AND typeof(count)='integer' AND count>0 AND count<1000000000 GROUP BY worker
"""
_COUNTS = """
SELECT (SELECT count(*) FROM partial WHERE step=?1), (SELECT count(*) FROM receipt WHERE step=?1 AND rowid<=?2),
    (SELECT count(*) FROM letter WHERE step=?1), (SELECT count(*) FROM letter WHERE step=?1 AND redriven<>0)
"""

#: Errors that a row with changed columns may cause.
_ROW_ERRORS = (ElasticError, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Numbers of rows that the step itself recorded."""

    partials: int
    receipts: int
    letters: int
    redriven: int
    #: largest rowid of the receipts; later commits wrote larger ones
    last: int


@dataclass(frozen=True, slots=True)
class StoredRow:
    """Row of receipts, or the reason why it is unreadable."""

    #: rowid, ascending in the order of the commits
    number: int
    #: chunk ids `[first, stop)` of the row; unreliable if the row is damaged
    first: int
    stop: int
    row: ReceiptRow | None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class StoredState:
    """State of the log, or the reason why it is unreadable."""

    ordinal: int
    data: bytes
    damage: str = ""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """Dead letter, or the reason why it is unreadable."""

    chunk_id: int
    is_redriven: bool
    dead_letter: DeadLetter | None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Receipt row with packed columns."""

    first: int
    stop: int
    attempt: int
    node_id: str
    worker_id: str
    data: bytes
    #: False if the row is damaged; only the chunk ids are valid then
    is_intact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLetter:
    """Dead letter with its position, or the reason why it is unreadable."""

    chunk_id: int
    #: index of the entry in its chunk; None for the whole chunk
    index: int | None
    is_redriven: bool
    #: size of the row (bytes)
    size: int
    #: None if the row is damaged, or too large for the caller
    letter: DeadLetter | None
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """Number of chunks that a worker processed."""

    node_id: str
    worker_id: str
    chunks: int
    batches: int
    #: maximum number of times that one of its batches was sent
    attempt: int


class RunReader(SqliteRunStore):
    """Read-only run store for verification and pages. Get one from `read`."""

    @classmethod
    def read(cls, folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> "RunReader":
        return cast("RunReader", super().read(folder, busy_seconds=busy_seconds))

    def check_pages(self) -> None:
        """Check all pages and indexes of the file.

        Raises:
            CorruptStoreError: The file is damaged. The message has the first damage that SQLite found.
        """
        found = self._file.rows("PRAGMA integrity_check(1)")
        if found != [("ok",)]:
            raise self._file.damaged(f"the database ({found[0][0]})")

    def numbers(self) -> list[int]:
        """Return the numbers of the steps."""
        found = self._file.rows("SELECT step FROM step UNION SELECT step FROM progress ORDER BY step")
        return [step for (step,) in found if isinstance(step, int)]

    def record(self, step: int) -> StepRecord:
        """Return the record of a step.

        Raises:
            CorruptStoreError: The record is damaged.
        """
        return self._record(step)

    def snapshot(self, step: int) -> RowCounts:
        """Return the recorded numbers of rows of a step."""
        return RowCounts(*self._file.rows(_SNAPSHOT, (step,))[0])

    def miscounted(self, step: int, snapshot: RowCounts) -> Iterator[str]:
        """Yield a sentence for each table whose number of rows differs from the recorded one."""
        found = self._file.rows(_COUNTS, (step, snapshot.last))[0]
        expected = (snapshot.partials, snapshot.receipts, snapshot.letters, snapshot.redriven)
        names = ("states in the log", "rows of receipts", "dead letters", "redriven dead letters")
        for name, count, wanted in zip(names, found, expected, strict=True):
            if count != wanted:
                yield f"expected {wanted} {name}, got {count}"

    def receipt_rows(self, step: int, snapshot: RowCounts, *, as_folded: bool = False) -> Iterator[StoredRow]:
        """Yield the rows of receipts by ascending first chunk id, or in the order of the commits if `as_folded`."""
        statement, key = (_RECEIPTS_AS_FOLDED, 0) if as_folded else (_RECEIPTS, 1)
        last = -1
        while rows := self._file.rows(statement, (step, last, snapshot.last, _PAGE_ROWS)):
            yield from (self._stored_row(step, *row) for row in rows)
            last = rows[-1][key]

    def states(self, step: int, snapshot: RowCounts) -> Iterator[StoredState]:
        """Yield the states of the log in the order of the commits."""
        return (self.state(step, ordinal) for ordinal in range(snapshot.partials))

    def state(self, step: int, ordinal: int) -> StoredState:
        """Return one state of the log."""
        rows = self._file.rows("SELECT data, seal FROM partial WHERE step=? AND ordinal=?", (step, ordinal))
        data, mac = rows[0] if rows else (None, None)
        if not isinstance(data, bytes):
            return StoredState(ordinal, b"", f"state {ordinal} of the log is missing")
        if row_mac("partial", self.key, self.run_id, (step, ordinal), data) != mac:
            return StoredState(ordinal, b"", f"state {ordinal} of the log is damaged")
        return StoredState(ordinal, data)

    def stored_dead_letters(self, step: int, first: int = 0, stop: int = 1 << 62) -> Iterator[StoredDeadLetter]:
        """Yield the dead letters of chunks `[first, stop)`, redriven ones too, by ascending chunk id and index."""
        statement = "SELECT chunk, entry, redriven FROM letter WHERE step=? AND chunk>=? AND chunk<? ORDER BY 1, 2"
        for chunk_id, entry, redriven in self._file.rows(statement, (step, first, stop)):
            try:
                yield StoredDeadLetter(chunk_id, bool(redriven), self._dead_letters.get(step, (chunk_id, entry)))
            except _ROW_ERRORS:
                yield StoredDeadLetter(chunk_id, bool(redriven), None, "a dead letter is damaged")

    # Queries of web pages: bounded, and including damaged rows

    def stamp(self, step: int) -> tuple[Any, ...]:
        """Return a value that changes with every commit of a step, and with its end."""
        rows = self._file.rows("SELECT seal, receipts, letters, redriven FROM progress WHERE step=?", (step,))
        return tuple(rows[0]) if rows else ()

    def rows_between(self, step: int, first: int, stop: int) -> Iterator[PackedRow]:
        """Yield the receipt rows with chunks in `[first, stop)`, by ascending chunk id."""
        at = self._file.rows(_FIRST_AT, (step, first))[0][0]
        at = first if at is None else at
        while rows := self._file.rows(_ROWS_BETWEEN, (step, at, min(stop, MAX_CHUNK_ID), _PAGE_ROWS)):
            for row in rows:
                packed = self._packed_row(step, *row)
                if packed.stop > first:
                    yield packed
            at = rows[-1][0] + 1

    def letters_by_chunk(self, step: int, first: int, stop: int) -> list[tuple[int, int, int]]:
        """Return chunk id, number of dead letters and number of redriven ones, for each chunk with dead letters."""
        return list(self._file.rows(_LETTERS_BY_CHUNK, (step, first, min(stop, MAX_CHUNK_ID))))

    def kept_letters(
        self,
        step: int,
        *,
        after: tuple[int, int] = (-1, -1),
        stop: int = MAX_CHUNK_ID,
        limit: int,
        max_bytes: int,
        redriven: bool = False,
    ) -> list[KeptLetter]:
        """Return dead letters by ascending chunk id and index.

        Args:
            step: Number of the step.
            after: Chunk id and index of the dead letter before the first one; the index of a whole chunk is -1.
            stop: Exclusive upper bound of the chunk ids.
            limit: Maximum number of dead letters.
            max_bytes: Maximum size of a dead letter that is read.
            redriven: Whether to include redriven ones.
        """
        values = (step, max_bytes, *after, stop, int(redriven), limit)
        return [self._kept_letter(step, row) for row in self._file.rows(_LETTERS, values)]

    def worker_shares(self, step: int) -> list[WorkerShare]:
        """Return the number of chunks of each worker, including those in damaged rows."""
        return [
            WorkerShare(str(node_id), str(worker_id), chunks, batches, attempt if isinstance(attempt, int) else 0)
            for node_id, worker_id, chunks, batches, attempt in self._file.rows(_WORKERS, (step,))
        ]

    def _packed_row(self, step: int, first: int, count: int, *columns: Any) -> PackedRow:
        attempt, node_id, worker_id, data, mac = columns
        try:
            is_intact = isinstance(data, bytes) and mac == receipt_mac(
                self.key, self.run_id, (step, first), (count, attempt, node_id, worker_id), data
            )
        except _ROW_ERRORS:
            is_intact = False
        stop = first + max(1, min(count, _MAX_ROW_CHUNKS))
        if not is_intact:
            return PackedRow(first, stop, 0, "", "", b"", is_intact=False)
        return PackedRow(first, stop, attempt, node_id, worker_id, data, is_intact=True)

    def _kept_letter(self, step: int, row: tuple[Any, ...]) -> KeptLetter:
        chunk_id, entry, redriven, size, data, mac = row
        index = None if entry == WHOLE_CHUNK else entry
        size = size if isinstance(size, int) else 0
        is_redriven = redriven not in (0, None)
        if data is None and size:
            return KeptLetter(chunk_id=chunk_id, index=index, is_redriven=is_redriven, size=size, letter=None)
        try:
            letter = self._dead_letters.read(step, (chunk_id, entry), (data, redriven, mac))
        except _ROW_ERRORS:
            letter = None
        return KeptLetter(
            chunk_id=chunk_id, index=index, is_redriven=is_redriven, size=size, letter=letter, is_damaged=letter is None
        )

    def _stored_row(self, step: int, number: int, first: int, *columns: Any) -> StoredRow:
        try:
            row = self._receipt(step, (first, *columns))
            if not isinstance(row.node_id, str) or not isinstance(row.worker_id, str):
                raise ValueError("its worker is unknown")
        except _ROW_ERRORS:
            count = columns[0] if isinstance(columns[0], int) else 1
            return StoredRow(number, first, first + max(count, 1), None, "the row of receipts is damaged")
        return StoredRow(number, row.first, row.stop, row)
