"""The table of dead letters: one row for each, which stays and is marked when the dead letter is redriven."""

from typing import Any

from elastic.core.encoding import pack, unpack
from elastic.core.errors import CorruptStoreError, EncodingError, StoreError
from elastic.core.model.failure import DeadLetter
from elastic.persistence.run_store.progress_row import row_mac
from elastic.persistence.run_store.sqlite_file import SqliteFile

#: Index of a dead letter that is a whole chunk; no entry has it.
WHOLE_CHUNK = -1

#: Maximum size of a dead letter (bytes), slightly below the limit of a row of SQLite.
_MAX_BYTES = 999_999_000

#: One statement, so that no commit of a master changes the rows between their count and the query.
_OPEN = """
SELECT progress.letters - progress.redriven, letter.chunk, letter.entry
FROM progress LEFT JOIN letter ON letter.step = progress.step AND letter.redriven = 0
WHERE progress.step=? ORDER BY letter.chunk, letter.entry
"""

#: Chunk id, and the index of the entry; None for a whole chunk.
DeadLetterKey = tuple[int, int | None]


class DeadLetterTable:
    """Dead letters of a run in its file. The caller opens the transaction for every write."""

    def __init__(self, file: SqliteFile, run_id: str, key: bytes) -> None:
        self._file = file
        self._run_id = run_id
        self._key = key

    def insert(self, step: int, dead_letter: DeadLetter) -> None:
        """Insert a dead letter.

        Raises:
            StoreError: The dead letter is too large.
        """
        chunk, entry = place_of(dead_letter)
        data = pack(dead_letter.plain())
        if len(data) > _MAX_BYTES:
            raise StoreError(
                f"run {self._run_id}, step {step}: the dead letter of {dead_letter.failure.place} takes {len(data):,} "
                f"bytes, and at most {_MAX_BYTES:,} can be stored; make the chunks smaller."
            )
        mac = self._mac(step, (chunk, entry), data, redriven=0)
        self._file.execute("INSERT INTO letter VALUES (?, ?, ?, ?, ?, ?)", (step, chunk, entry, data, 0, mac))

    def redrive(self, step: int, key: DeadLetterKey) -> None:
        """Mark a dead letter as redriven.

        Raises:
            StoreError: The dead letter does not exist, or is redriven already.
            CorruptStoreError: The row is damaged.
        """
        place = _place(key)
        rows = self._file.execute(
            "SELECT data, redriven, seal FROM letter WHERE step=? AND chunk=? AND entry=?", (step, *place)
        ).fetchall()
        if not rows or rows[0][1]:
            raise not_open(self._run_id, step, key)
        data, redriven, kept = rows[0]
        self._check(step, place, (data, redriven, kept))
        mac = self._mac(step, place, data, redriven=1)
        self._file.execute(
            "UPDATE letter SET redriven=1, seal=? WHERE step=? AND chunk=? AND entry=?", (mac, step, *place)
        )

    def places(self, step: int) -> list[tuple[int, int]]:
        """Return the places of the dead letters that are not redriven, in ascending order.

        Raises:
            CorruptStoreError: The number of rows differs from the recorded one.
        """
        rows = self._file.rows(_OPEN, (step,))
        places = [(chunk, entry) for _, chunk, entry in rows if chunk is not None]
        expected = rows[0][0] if rows else 0
        if len(places) != expected:
            raise self._file.damaged(f"step {step}: expected {expected} dead letters, got {len(places)}")
        return places

    def get(self, step: int, place: tuple[int, int]) -> DeadLetter:
        """Return the dead letter at a place.

        Raises:
            CorruptStoreError: The row is damaged or missing.
        """
        rows = self._file.rows(
            "SELECT data, redriven, seal FROM letter WHERE step=? AND chunk=? AND entry=?", (step, *place)
        )
        if not rows:
            raise self._damaged(step, place)
        return self.read(step, place, rows[0])

    def read(self, step: int, place: tuple[int, int], row: tuple[Any, Any, Any]) -> DeadLetter:
        """Return the dead letter of a row with the columns data, redriven and seal. Raises as `get` does."""
        self._check(step, place, row)
        try:
            return DeadLetter.of(unpack(row[0]))
        except (EncodingError, TypeError, ValueError) as error:
            raise self._damaged(step, place) from error

    def _check(self, step: int, place: tuple[int, int], row: tuple[object, object, object]) -> None:
        data, redriven, kept = row
        has_valid_types = isinstance(data, bytes) and redriven in (0, 1)
        if not has_valid_types or kept != self._mac(step, place, data, redriven=redriven):
            raise self._damaged(step, place)

    def _damaged(self, step: int, place: tuple[int, int]) -> CorruptStoreError:
        chunk, entry = place
        which = f"chunk {chunk}" if entry == WHOLE_CHUNK else f"entry {entry} of chunk {chunk}"
        return self._file.damaged(f"step {step}: the dead letter of {which} is damaged")

    def _mac(self, step: int, place: tuple[int, int], data: object, *, redriven: object) -> bytes:
        return row_mac("letter", self._key, self._run_id, (step, place[0]), pack([place[1], redriven, data]))


def place_of(dead_letter: DeadLetter) -> tuple[int, int]:
    """Return chunk id and index of a dead letter, with -1 for a whole chunk."""
    return _place((dead_letter.failure.chunk_id, dead_letter.failure.index))


def not_open(run_id: str, step: int, key: DeadLetterKey) -> StoreError:
    """Return the error for a redrive of a dead letter that does not exist or is redriven already."""
    chunk, index = key
    which = f"chunk {chunk}" if index is None else f"entry {index} of chunk {chunk}"
    return StoreError(f"run {run_id}, step {step} has no dead letter of {which}, or it is redriven already.")


def _place(key: DeadLetterKey) -> tuple[int, int]:
    chunk, index = key
    return chunk, WHOLE_CHUNK if index is None else index
