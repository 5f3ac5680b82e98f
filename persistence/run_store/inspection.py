"""Reader for verification: returns the rows of a run one by one, and skips no damaged row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import ElasticError
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.progress_row import row_mac
from elastic.persistence.run_store.sqlite_store import SqliteRunStore

#: Rows per SELECT.
_PAGE_ROWS = 256
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


class RunReader(SqliteRunStore):
    """Read-only run store for verification. Get one from `read`."""

    @classmethod
    def read(cls, folder: Path) -> "RunReader":
        return cast("RunReader", super().read(folder))

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

    def _stored_row(self, step: int, number: int, first: int, *columns: Any) -> StoredRow:
        try:
            row = self._receipt(step, (first, *columns))
            if not isinstance(row.node_id, str) or not isinstance(row.worker_id, str):
                raise ValueError("its worker is unknown")
        except _ROW_ERRORS:
            count = columns[0] if isinstance(columns[0], int) else 1
            return StoredRow(number, first, first + max(count, 1), None, "the row of receipts is damaged")
        return StoredRow(number, row.first, row.stop, row)
