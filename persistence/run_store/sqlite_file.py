"""The SQLite file of a run: its tables, its transactions, and the errors that its damage causes.

`elastic/persistence/sqlite.py` gives the reasons for its journal mode, `TRUNCATE`.
"""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elastic.core.errors import (
    CorruptStoreError,
    FencedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    UnknownRunError,
)
from elastic.persistence.durable_file import store_error
from elastic.persistence.home import RUN_FILE
from elastic.persistence.sqlite import use_journal

#: Format of the file. 1: a receipt for each chunk; 2: one link for the receipts of a batch.
FORMAT = 2
#: Seconds to wait for another connection's lock, by default.
BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE run (run_id TEXT, epoch INTEGER, chunk_store TEXT, seal BLOB);
CREATE TABLE step (
    step INTEGER, ordinal INTEGER, name TEXT, manifest TEXT, started_at REAL, seal BLOB, UNIQUE (step, ordinal)
);
CREATE TABLE progress (
    step INTEGER PRIMARY KEY, state TEXT, low INTEGER, bitmap BLOB, position BLOB, exhausted INTEGER, counters TEXT,
    ended_at REAL, error TEXT, partials INTEGER, receipts INTEGER, letters INTEGER, redriven INTEGER, begins INTEGER,
    seal BLOB
);
CREATE TABLE partial (step INTEGER, ordinal INTEGER, data BLOB, seal BLOB, UNIQUE (step, ordinal));
CREATE TABLE worker (id INTEGER PRIMARY KEY, node_id TEXT, worker_id TEXT, UNIQUE (node_id, worker_id));
CREATE TABLE receipt (
    step INTEGER, first INTEGER, count INTEGER, attempt INTEGER, worker INTEGER, data BLOB, seal BLOB,
    UNIQUE (step, first)
);
CREATE TABLE letter (
    step INTEGER, chunk INTEGER, entry INTEGER, data BLOB, redriven INTEGER, seal BLOB, UNIQUE (step, chunk, entry)
);
"""
_SCHEMA_SQL = [(statement.strip(),) for statement in _SCHEMA.split(";") if statement.strip()]
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class SqliteFile:
    """One connection to `<run>/run.sqlite`, used by one thread at a time.

    After a failed transaction it refuses further ones: only the next process that opens the file finds out what
    reached the disk. It can still be read.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> None:
        self.run_id = folder.name
        self._busy_seconds = busy_seconds
        self._path = folder / RUN_FILE
        self._read_only = read_only
        self._failure: StoreError | None = None
        check_is_run_folder(folder)
        # A reader is opened with mode=rw too, and then restricted to reading. After a master was killed in the middle
        # of a commit, the next process that opens the file must roll the commit back.
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        try:
            # One thread uses it at a time, but not always the same one: a queue runs its steps one after the other.
            self._connection = sqlite3.connect(
                address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._read_error(error) from error
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        version = self.rows("PRAGMA user_version")[0][0]
        if version not in (0, FORMAT):
            raise StoreError(
                f"run {self.run_id} has format {version}, and this version of Elastic reads format {FORMAT}; "
                "use the version that created the run."
            )
        self._is_empty = version == 0
        self.rows("PRAGMA trusted_schema=OFF")
        self.rows("PRAGMA cell_size_check=ON")
        if self._read_only:
            self.rows("PRAGMA query_only=ON")
        else:
            try:
                use_journal(self._connection, "TRUNCATE")
            except sqlite3.Error as error:
                raise self._read_error(error) from error
        # This also refuses a trigger that was added to the file, which SQLite would run by itself.
        if not self._is_empty and self.rows("SELECT sql FROM sqlite_master WHERE sql NOT NULL") != _SCHEMA_SQL:
            raise CorruptStoreError(f"{self._path} does not have the tables of a run; restore a good copy of it.")

    def create_tables(self) -> None:
        """Create the tables of an empty file, as part of the first transaction."""
        for (statement,) in _SCHEMA_SQL:
            self.execute(statement)
        self.execute(f"PRAGMA user_version={FORMAT}")
        self._is_empty = False

    def check_tables(self) -> None:
        """Refuse a file whose process ended before the first transaction.

        Raises:
            StoreError: The file has no tables.
        """
        if self._is_empty:
            raise StoreError(f"run {self.run_id} was stopped while it was created, and is empty; begin a new run.")

    def check_pages(self) -> None:
        """Check that the file is an intact database.

        Raises:
            CorruptStoreError: It is damaged. The message has the first damage that SQLite found.
        """
        found = self.rows("PRAGMA quick_check(1)")
        if found != [("ok",)]:
            raise CorruptStoreError(f"{self._path} is damaged ({found[0][0]}); restore a good copy of it.")

    @contextmanager
    def transaction(self, epoch: int | None) -> Iterator[None]:
        """Make all statements of the block durable, or none, if the run still has this epoch.

        Args:
            epoch: Epoch of the caller; None skips the check.

        Raises:
            FencedError: A later master has raised the epoch; nothing was written.
            StoreError: The transaction failed.
        """
        if self._read_only:
            raise StoreError(f"run {self.run_id} was opened for reading; open it as a master to write.")
        if self._failure is not None:
            raise self._failure
        try:
            # IMMEDIATE: no other connection writes until the commit, so the epoch that is read here still holds then.
            self.execute("BEGIN IMMEDIATE")
            if epoch is not None and self.execute("SELECT epoch FROM run").fetchall() != [(epoch,)]:
                raise FencedError(self.run_id, epoch)
            yield
            self.execute("COMMIT")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._fail(self._write_error(error))
            raise self._write_error(error) from error
        except StoreError as error:
            self._fail(error)
            raise
        except BaseException as error:
            self._fail(StoreError(f"run {self.run_id} was interrupted in a commit ({type(error).__name__})."))
            raise

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Execute one statement of a transaction."""
        return self._connection.execute(statement, values)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of a SELECT, and hold no lock afterwards.

        Raises:
            StoreError: The file cannot be read.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter if the message quotes damaged text
            raise self._read_error(error) from error

    def close(self) -> None:
        self._connection.close()

    def damaged(self, what: str) -> CorruptStoreError:
        """Return the error for a row that differs from the one that was written; `what` names the row."""
        return CorruptStoreError(f"run {self.run_id}, {what} in {self._path}; restore a good copy of the file.")

    def _fail(self, failure: StoreError) -> None:
        self._failure = failure
        with suppress(sqlite3.Error):
            self._connection.rollback()

    def _write_error(self, error: Exception) -> StoreError:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        message = f"run {self.run_id} could not be written ({error}, {name}); earlier commits are safe"
        return StoreFullError(message) if name == "SQLITE_FULL" else StoreError(message)

    def _read_error(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            return StoreBusyError(str(self._path), self._busy_seconds)
        is_undecodable = isinstance(error, UnicodeDecodeError) or "decode to UTF-8" in str(error)
        if is_undecodable or code in _CORRUPT:
            return CorruptStoreError(f"{self._path} is damaged ({error}); restore a good copy of it.")
        return StoreError(f"{self._path} cannot be read ({error}); check the disk and the permissions of the file.")


def check_is_run_folder(folder: Path) -> None:
    """Refuse a folder that contains no run.

    Raises:
        UnknownRunError: The file of the run is missing.
        StoreError: The name belongs to a link or a folder, or cannot be inspected.
    """
    path = folder / RUN_FILE
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnknownRunError(folder.name, str(folder.parent)) from error
    except OSError as error:
        raise store_error(error, path) from error
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is not a regular file; replace it by the file of the run.")
