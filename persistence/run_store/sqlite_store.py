"""The run store in a SQLite file, one for each run."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from elastic.core.contracts.store import ChunkStore, Commit, RunStore, StepRecord
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError, StoreError, UsageError
from elastic.core.model.chunk_location import InFlightNote
from elastic.core.model.failure import DeadLetter
from elastic.core.model.live_view import LiveView
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.text import writable
from elastic.persistence.chunk_store.registry import kind_name, make_chunk_store
from elastic.persistence.disk_reserve import DiskReserve
from elastic.persistence.durable_file import create_file, make_folder, store_error, sync_folder
from elastic.persistence.home import RUN_FILE
from elastic.persistence.run_store.dead_letter_table import DeadLetterTable
from elastic.persistence.run_store.in_flight_file import read_note, write_note
from elastic.persistence.run_store.json_text import write_json
from elastic.persistence.run_store.key import RUN_KEY_BYTES, read_key, write_key
from elastic.persistence.run_store.live_file import is_watched, write_live
from elastic.persistence.run_store.lock import RunLock
from elastic.persistence.run_store.progress_row import ProgressRow, row_mac
from elastic.persistence.run_store.receipt_codec import pack_row, unpack_row
from elastic.persistence.run_store.sqlite_file import BUSY_SECONDS, SqliteFile, check_is_run_folder

#: Rows per SELECT of receipts.
_PAGE_ROWS = 256
#: Maximum size of a partial (bytes); a row of SQLite holds at most 1,000,000,000.
MAX_PARTIAL = 999_999_000
_REPLACE_PROGRESS = "REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT_RECEIPTS = """
SELECT first, count, attempt, node_id, worker_id, data, seal
FROM receipt LEFT JOIN worker ON worker.id = receipt.worker
WHERE step=? AND first>? AND receipt.rowid<=? ORDER BY first LIMIT ?
"""
_SELECT_RECEIPTS_AT = """
SELECT first, count, attempt, node_id, worker_id, data, seal
FROM receipt LEFT JOIN worker ON worker.id = receipt.worker
WHERE step=? AND first<=? ORDER BY first DESC LIMIT 1
"""
#: Largest integer of SQLite.
MAX_CHUNK_ID = (1 << 63) - 1


class SqliteRunStore(RunStore):
    """Run store in `<run>/run.sqlite`, with its key in `<run>/key` and its lock in `<run>/lock`.

    `create`, `open` and `read` return one. The state of a step is the log of its partials, so a commit writes only new
    partials. Only the thread that opened the store may use it.
    """

    def __init__(self, folder: Path, file: SqliteFile, lock: RunLock | None) -> None:
        self._folder = folder
        self._file = file
        self._lock = lock
        self._chunks: dict[int, ChunkStore] = {}
        self._reserve = DiskReserve(folder / "ballast")
        self._workers: dict[tuple[str, str], int] = {}
        file.check_tables()
        rows = file.rows("SELECT run_id, epoch, chunk_store, seal FROM run")
        run_id, epoch, chunk_store, mac = rows[0] if len(rows) == 1 else ("", 0, "", None)
        self.key = read_key(folder)
        if mac != _run_mac(run_id, self.key, epoch, chunk_store):
            raise file.damaged("the first row does not match the key")
        self.run_id = file.run_id = run_id
        self._dead_letters = DeadLetterTable(file, run_id, self.key)
        self.epoch = epoch
        self._chunk_store = chunk_store

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self._folder

    @classmethod
    def create(cls, folder: Path, run_id: str, key: bytes, *, chunk_store: str = "segment") -> "SqliteRunStore":
        """Create the folder of a run and a run of epoch 1 in it, and lock the run.

        Raises:
            UsageError: The key is not 32 bytes long, or the kind of chunk store is unknown.
            StoreError: The folder has a run already, or cannot be written.
        """
        if len(key) != RUN_KEY_BYTES:
            raise UsageError(f"the key of a run must be {RUN_KEY_BYTES} random bytes, got {len(key)}.")
        chunk_store = kind_name(chunk_store)
        try:
            make_folder(folder)
        except OSError as error:
            raise store_error(error, folder) from error
        with ExitStack() as undo:
            lock = RunLock(folder, run_id)
            undo.callback(lock.release)
            write_key(folder, key)
            _create_file(folder)
            file = SqliteFile(folder)
            undo.callback(file.close)
            with file.transaction(None):
                file.create_tables()
                values = (run_id, 1, chunk_store, _run_mac(run_id, key, 1, chunk_store))
                file.execute("INSERT INTO run VALUES (?, ?, ?, ?)", values)
            store = cls(folder, file, lock)
            undo.pop_all()
        return store

    @classmethod
    def open(cls, folder: Path) -> "SqliteRunStore":
        """Open a run to resume it: lock it, check its file, and raise its epoch by one.

        Raises:
            UnknownRunError: `folder` contains no run.
            RunLockedError: Another master works on the run.
            CorruptStoreError: The file of the run is damaged.
            StoreError: The file cannot be opened, or a newer version created it.
        """
        check_is_run_folder(folder)  # before the lock, which creates a file
        with ExitStack() as undo:
            lock = RunLock(folder, folder.name)
            undo.callback(lock.release)
            file = SqliteFile(folder)
            undo.callback(file.close)
            file.check_pages()
            store = cls(folder, file, lock)
            epoch = store.epoch + 1
            mac = _run_mac(store.run_id, store.key, epoch, store._chunk_store)
            with file.transaction(store.epoch):
                file.execute("UPDATE run SET epoch=?, seal=?", (epoch, mac))
            store.epoch = epoch
            undo.pop_all()
        return store

    @classmethod
    def read(cls, folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> "SqliteRunStore":
        """Open a run for reading, possibly while a master works on it. Its epoch is that of the last master.

        Args:
            folder: Folder of the run.
            busy_seconds: Seconds that a read waits while another process has the file locked.

        Raises:
            UnknownRunError: `folder` contains no run.
            StoreBusyError: Another process kept the file locked for longer.
            StoreError: The file cannot be read.
        """
        with ExitStack() as undo:
            file = SqliteFile(folder, read_only=True, busy_seconds=busy_seconds)
            undo.callback(file.close)
            store = cls(folder, file, None)
            undo.pop_all()
        return store

    def begin(self, step: int, name: str, manifest: dict[str, Any], started_at: float) -> None:
        name, manifest_json = writable(name), write_json(manifest, f"the manifest of step {step}")
        known = self._progress(step)
        with self._file.transaction(self.epoch):
            ordinal = 0 if known is None else known.begins
            mac = _step_mac(self.key, self.run_id, (step, ordinal), name, manifest_json, started_at)
            values = (step, ordinal, name, manifest_json, started_at, mac)
            self._file.execute("INSERT INTO step VALUES (?, ?, ?, ?, ?, ?)", values)
            if known is None:
                self._write_progress(ProgressRow(step, "in_progress"))
            else:
                resumed = replace(known, state="in_progress", ended_at=None, error=None, begins=ordinal + 1)
                self._write_progress(resumed)

    def commit(self, step: int, commit: Commit) -> None:
        packed = [pack_row(row) for row in commit.receipts]
        known = self._known(step)
        columns = known.columns_of(commit)
        if commit.partials and max(map(len, commit.partials)) > MAX_PARTIAL:
            raise StoreError(
                f"run {self.run_id}, step {step}: a state takes more than {MAX_PARTIAL:,} bytes, the maximum; "
                "aggregate into fewer keys, or into a file."
            )
        with self._file.transaction(self.epoch):
            for ordinal, partial in enumerate(commit.partials, known.partials):
                mac = row_mac("partial", self.key, self.run_id, (step, ordinal), partial)
                self._file.execute("INSERT INTO partial VALUES (?, ?, ?, ?)", (step, ordinal, partial, mac))
            for row, data in zip(commit.receipts, packed, strict=True):
                self._write_receipt(step, row, data)
            for dead_letter in commit.dead_letters:
                self._dead_letters.insert(step, dead_letter)
            for key in commit.redriven:
                self._dead_letters.redrive(step, key)
            self._write_progress(replace(known, **columns))

    def end(self, step: int, state: str, ended_at: float, error: str | None = None) -> None:
        known = self._known(step)
        error = None if error is None else writable(error)
        with self._file.transaction(self.epoch):
            self._write_progress(replace(known, state=str(state), ended_at=ended_at, error=error))

    def steps(self) -> list[StepRecord]:
        found = self._file.rows("SELECT step FROM step UNION SELECT step FROM progress ORDER BY step")
        return [self._record(step) for (step,) in found]

    def partials(self, step: int) -> Iterator[bytes]:
        for ordinal in range(self._known(step).partials):
            rows = self._file.rows("SELECT data, seal FROM partial WHERE step=? AND ordinal=?", (step, ordinal))
            if not rows:
                raise self._file.damaged(f"step {step}: partial {ordinal} is missing")
            data, mac = rows[0]
            if not isinstance(data, bytes) or row_mac("partial", self.key, self.run_id, (step, ordinal), data) != mac:
                raise self._file.damaged(f"step {step}: partial {ordinal} is damaged")
            yield data

    def receipts(self, step: int) -> Iterator[ReceiptRow]:
        # One statement, so that no commit of a master comes between. Later rows have larger rowids.
        statement = "SELECT receipts, (SELECT max(rowid) FROM receipt) FROM progress WHERE step=?"
        expected, last = self._file.rows(statement, (self._known(step).step,))[0]
        first, found = -1, 0
        while rows := self._file.rows(_SELECT_RECEIPTS, (step, first, last, _PAGE_ROWS)):
            for row in rows:
                yield self._receipt(step, row)
            first, found = rows[-1][0], found + len(rows)
        if found != expected:
            raise self._file.damaged(f"step {step}: expected {expected} rows of receipts, got {found}")

    def receipt_row_of(self, step: int, chunk_id: int) -> ReceiptRow | None:
        rows = self._file.rows(_SELECT_RECEIPTS_AT, (self._known(step).step, min(chunk_id, MAX_CHUNK_ID)))
        found = self._receipt(step, rows[0]) if rows else None
        return found if found is not None and chunk_id < found.stop else None

    def dead_letters(self, step: int) -> Iterator[DeadLetter]:
        for place in self._dead_letters.places(self._known(step).step):
            yield self._dead_letters.get(step, place)

    def note(self, step: int, note: InFlightNote | None) -> None:
        write_note(self._folder, self.key, step, note)

    def noted(self, step: int) -> InFlightNote | None:
        return read_note(self._folder, self.key, step)

    def is_watched(self, now: float) -> bool:
        return is_watched(self._folder, now)

    def publish(self, step: int, view: LiveView | None) -> None:
        write_live(self._folder, self.key, step, view)

    def chunks(self, step: int) -> ChunkStore:
        if step not in self._chunks:
            is_reader = self._lock is None
            reserve = None if is_reader else self._reserve
            place = (self._folder, self.run_id, step)
            self._chunks[step] = make_chunk_store(self._chunk_store, place, read_only=is_reader, reserve=reserve)
        return self._chunks[step]

    def close(self) -> None:
        for chunks in self._chunks.values():
            chunks.close()
        if self._lock is not None:
            self._reserve.release()
        self._file.close()
        if self._lock is not None:
            self._lock.release()

    # Rows

    def _record(self, step: int) -> StepRecord:
        progress = self._progress(step)
        # A master that resumed the step after the first SELECT may have added rows.
        statement = "SELECT name, manifest, started_at, seal FROM step WHERE step=? AND ordinal<? ORDER BY ordinal"
        rows = [] if progress is None else self._file.rows(statement, (step, progress.begins))
        if progress is None or len(rows) != progress.begins:
            raise self._file.damaged(f"step {step}: a row of the step is missing")
        for ordinal, (*fields, mac) in enumerate(rows):
            if mac != _step_mac(self.key, self.run_id, (step, ordinal), *fields):
                raise self._file.damaged(f"step {step}: the manifest is damaged")
        name, _, started_at, _ = rows[0]
        try:
            return progress.record(name, [manifest for _, manifest, _, _ in rows], started_at)
        except EncodingError as error:
            raise self._file.damaged(f"step {step}: {error}") from error

    def _progress(self, step: int) -> ProgressRow | None:
        rows = self._file.rows("SELECT * FROM progress WHERE step=?", (step,))
        if not rows:
            return None
        *columns, mac = rows[0]
        progress = ProgressRow(*columns)
        if progress.mac(self.key, self.run_id) != mac:
            raise self._file.damaged(f"step {step}: the progress is damaged")
        return progress

    def _known(self, step: int) -> ProgressRow:
        progress = self._progress(step)
        if progress is None:
            raise StoreError(f"run {self.run_id} has no step {step}; begin it first.")
        return progress

    def _write_progress(self, progress: ProgressRow) -> None:
        values = (*astuple(progress), progress.mac(self.key, self.run_id))
        self._file.execute(_REPLACE_PROGRESS, values)

    def _write_receipt(self, step: int, row: ReceiptRow, data: bytes) -> None:
        worker = (row.node_id, row.worker_id)
        if worker not in self._workers:
            self._file.execute("INSERT OR IGNORE INTO worker (node_id, worker_id) VALUES (?, ?)", worker)
            found = self._file.execute("SELECT id FROM worker WHERE node_id=? AND worker_id=?", worker)
            self._workers[worker] = found.fetchone()[0]
        attempt = row.columns.attempt
        mac = receipt_mac(self.key, self.run_id, (step, row.first), (row.count, attempt, *worker), data)
        values = (step, row.first, row.count, attempt, self._workers[worker], data, mac)
        self._file.execute("INSERT INTO receipt VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _receipt(self, step: int, row: tuple[Any, ...]) -> ReceiptRow:
        first, count, attempt, node_id, worker_id, data, mac = row
        is_intact = isinstance(data, bytes) and mac == receipt_mac(
            self.key, self.run_id, (step, first), (count, attempt, node_id, worker_id), data
        )
        if not is_intact:
            raise self._file.damaged(f"step {step}: the receipts of the batch at chunk {first} are damaged")
        return unpack_row(first, count, attempt, (node_id, worker_id), data)


def _create_file(folder: Path) -> None:
    path = folder / RUN_FILE
    try:
        # create_file sets the mode from the start, and SQLite copies it to the journal.
        os.close(create_file(path))
        sync_folder(folder)
    except FileExistsError as error:
        raise StoreError(f"{path} exists already; a new run needs a new folder.") from error
    except OSError as error:
        raise store_error(error, path) from error


def _run_mac(run_id: str, key: bytes, epoch: int, chunk_store: str) -> bytes:
    return row_mac("run", key, run_id, (0, 0), pack([epoch, chunk_store]))


def _step_mac(key: bytes, run_id: str, place: tuple[int, int], *columns: Any) -> bytes:
    return row_mac("step", key, run_id, place, pack(list(columns)))


def receipt_mac(key: bytes, run_id: str, place: tuple[int, int], fields: tuple[Any, ...], data: bytes) -> bytes:
    """Return the MAC of a receipt row; `fields` are its columns except the chunk id and the data."""
    return row_mac("receipt", key, run_id, place, pack(list(fields)) + data)
