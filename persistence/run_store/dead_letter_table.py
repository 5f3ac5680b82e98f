"""Dead letters as they are kept: one row a letter, which stays when it is redriven, marked as such."""

from elastic.core.encoding import pack, unpack
from elastic.core.errors import CorruptStoreError, EncodingError, StoreError
from elastic.core.model.failure import DeadLetter
from elastic.persistence.run_store.progress_row import seal
from elastic.persistence.run_store.sqlite_file import SqliteFile

#: Stands for the index of a letter that is a whole chunk; no entry has it.
_WHOLE = -1

#: A letter that takes more than this is not kept (bytes): the most that SQLite has in one row is a little more.
_MOST_BYTES = 999_999_000

#: In one statement, so that a master's commit cannot come between the count and what is counted.
_OPEN = """
SELECT progress.letters - progress.redriven, letter.chunk, letter.entry
FROM progress LEFT JOIN letter ON letter.step = progress.step AND letter.redriven = 0
WHERE progress.step=? ORDER BY letter.chunk, letter.entry
"""

Key = tuple[int, int | None]


class DeadLetterTable:
    """The dead letters of a run, in its file; what writes here is part of a transaction of the run store."""

    def __init__(self, file: SqliteFile, run_id: str, key: bytes) -> None:
        self._file = file
        self._run_id = run_id
        self._key = key

    def insert(self, step: int, letter: DeadLetter) -> None:
        """Keep a letter.

        Raises:
            StoreError: It is too large.
        """
        chunk, entry = place_of(letter)
        data = pack(letter.plain())
        if len(data) > _MOST_BYTES:
            raise StoreError(
                f"run {self._run_id}, step {step}: the dead letter of {letter.failure.place} takes {len(data):,} "
                f"bytes, more than the {_MOST_BYTES:,} that are kept; cut smaller chunks."
            )
        sealed = self._seal(step, (chunk, entry), data, redriven=0)
        self._file.execute("INSERT INTO letter VALUES (?, ?, ?, ?, ?, ?)", (step, chunk, entry, data, 0, sealed))

    def redrive(self, step: int, key: Key) -> None:
        """Mark a letter as redriven.

        Raises:
            StoreError: There is no such letter, or it is redriven already.
            CorruptStoreError: It is not as it was written.
        """
        place = _place(key)
        rows = self._file.execute(
            "SELECT data, redriven, seal FROM letter WHERE step=? AND chunk=? AND entry=?", (step, *place)
        ).fetchall()
        if not rows or rows[0][1]:
            raise not_open(self._run_id, step, key)
        data, redriven, kept = rows[0]
        self._check(step, place, (data, redriven, kept))
        sealed = self._seal(step, place, data, redriven=1)
        self._file.execute(
            "UPDATE letter SET redriven=1, seal=? WHERE step=? AND chunk=? AND entry=?", (sealed, step, *place)
        )

    def places(self, step: int) -> list[tuple[int, int]]:
        """Return the places of the letters that are not redriven, in ascending order.

        Raises:
            CorruptStoreError: There are more or fewer than were written.
        """
        rows = self._file.rows(_OPEN, (step,))
        places = [(chunk, entry) for _, chunk, entry in rows if chunk is not None]
        expected = rows[0][0] if rows else 0
        if len(places) != expected:
            raise self._file.damaged(f"step {step}: there are {len(places)} of {expected} dead letters")
        return places

    def get(self, step: int, place: tuple[int, int]) -> DeadLetter:
        """Return the letter at a place.

        Raises:
            CorruptStoreError: It is not as it was written.
        """
        rows = self._file.rows(
            "SELECT data, redriven, seal FROM letter WHERE step=? AND chunk=? AND entry=?", (step, *place)
        )
        if not rows:
            raise self._damaged(step, place)
        self._check(step, place, rows[0])
        try:
            return DeadLetter.of(unpack(rows[0][0]))
        except (EncodingError, TypeError, ValueError) as error:
            raise self._damaged(step, place) from error

    def _check(self, step: int, place: tuple[int, int], row: tuple[object, object, object]) -> None:
        data, redriven, kept = row
        good = isinstance(data, bytes) and redriven in (0, 1)
        if not good or kept != self._seal(step, place, data, redriven=redriven):
            raise self._damaged(step, place)

    def _damaged(self, step: int, place: tuple[int, int]) -> CorruptStoreError:
        chunk, entry = place
        which = f"chunk {chunk}" if entry == _WHOLE else f"entry {entry} of chunk {chunk}"
        return self._file.damaged(f"step {step}: the dead letter of {which} is not as it was written")

    def _seal(self, step: int, place: tuple[int, int], data: object, *, redriven: object) -> bytes:
        return seal("letter", self._key, self._run_id, (step, place[0]), pack([place[1], redriven, data]))


def place_of(letter: DeadLetter) -> tuple[int, int]:
    """Return chunk id and index of a letter, with a number in the place of None."""
    return _place((letter.failure.chunk_id, letter.failure.index))


def not_open(run_id: str, step: int, key: Key) -> StoreError:
    """Return the error for a letter that cannot be redriven because there is none."""
    chunk, index = key
    which = f"chunk {chunk}" if index is None else f"entry {index} of chunk {chunk}"
    return StoreError(f"run {run_id}, step {step} has no dead letter of {which}, or it is redriven already.")


def _place(key: Key) -> tuple[int, int]:
    chunk, index = key
    return chunk, _WHOLE if index is None else index
