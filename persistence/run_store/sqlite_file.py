"""The SQLite file of a run: how it is made, opened, written in whole transactions, and what its errors mean.

`journal_mode=TRUNCATE`, not WAL, for four reasons. A commit is as durable (`synchronous=FULL` syncs journal, file
and the journal's end), and takes 0.7 ms instead of 0.2, twenty times a second. WAL below SQLite 3.51.3 can damage a
file that two connections write (https://sqlite.org/wal.html, "The WAL-Reset Bug"), and two is what there are when a
master that was thought dead wakes up. WAL needs memory shared by all processes, so the epoch would protect nothing
on a network file system. And a large partial is written once, because pages that are new need no journal.
The price: a commit waits for a reader that is in the middle of a SELECT. So readers fetch small pages and hold no
lock while their caller works.
"""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elastic.core.errors import CorruptStoreError, FencedError, StoreError, StoreFullError, UnknownRunError
from elastic.persistence.durable_file import store_error
from elastic.persistence.home import RUN_FILE

#: Of this file. 1: a receipt of each chunk; 2: a link for those that came together.
FORMAT = 2
_BUSY_SECONDS = 30.0
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
_LAID_OUT = [(statement.strip(),) for statement in _SCHEMA.split(";") if statement.strip()]
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class RunFile:
    """One connection to `<run>/run.sqlite`, used by the thread that opened it.

    After a transaction has failed it takes no more: what reached the disk is only known to the next process that
    opens the file. It can still be read.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.run_id = folder.name
        self._path = folder / RUN_FILE
        self._read_only = read_only
        self._failure: StoreError | None = None
        check_is_run_folder(folder)
        # A reader too is opened with mode=rw and then held to reading: after a master was killed in the middle of
        # a commit, whoever comes next must undo what it had begun to write.
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        try:
            # One thread uses it at a time, but not always the same: a queue's steps follow each other.
            self._connection = sqlite3.connect(
                address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
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
                f"run {self.run_id} has format {version} and this version of Elastic reads format {FORMAT}; "
                "use the version that made it."
            )
        self._is_empty = version == 0
        self.rows("PRAGMA trusted_schema=OFF")
        self.rows("PRAGMA cell_size_check=ON")
        if self._read_only:
            self.rows("PRAGMA query_only=ON")
        else:
            self.rows("PRAGMA journal_mode=TRUNCATE")
            self.rows("PRAGMA synchronous=FULL")
        # Also against what would run by itself: a trigger that somebody put there.
        if not self._is_empty and self.rows("SELECT sql FROM sqlite_master WHERE sql NOT NULL") != _LAID_OUT:
            raise CorruptStoreError(f"{self._path} has other tables than a run has; put back a good copy of it.")

    def lay_out(self) -> None:
        """Make the tables of a file that is still empty; part of the first transaction."""
        for (statement,) in _LAID_OUT:
            self.execute(statement)
        self.execute(f"PRAGMA user_version={FORMAT}")
        self._is_empty = False

    def check_laid_out(self) -> None:
        """Refuse a file whose process ended before the first transaction.

        Raises:
            StoreError: It is such a file.
        """
        if self._is_empty:
            raise StoreError(
                f"run {self.run_id} was stopped while it was being made and holds nothing; begin a new one."
            )

    def check_pages(self) -> None:
        """Check that the file is a sound database.

        Raises:
            CorruptStoreError: It is not; says what was found first.
        """
        found = self.rows("PRAGMA quick_check(1)")
        if found != [("ok",)]:
            raise CorruptStoreError(f"{self._path} is damaged ({found[0][0]}); put back a good copy of it.")

    @contextmanager
    def transaction(self, epoch: int | None) -> Iterator[None]:
        """Make the statements of the block durable, all or none, if `epoch` is still the run's.

        Raises:
            FencedError: It is not; nothing was written.
            StoreError: The transaction failed.
        """
        if self._read_only:
            raise StoreError(f"run {self.run_id} was opened for reading; open it as a master to write.")
        if self._failure is not None:
            raise self._failure
        try:
            # IMMEDIATE: from here to the commit nobody else writes, so the epoch that is read now still holds then.
            self.execute("BEGIN IMMEDIATE")
            if epoch is not None and self.execute("SELECT epoch FROM run").fetchall() != [(epoch,)]:
                raise FencedError(self.run_id, epoch)
            yield
            self.execute("COMMIT")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._give_up(self._write_error(error))
            raise self._write_error(error) from error
        except StoreError as error:
            self._give_up(error)
            raise
        except BaseException as error:
            self._give_up(StoreError(f"run {self.run_id} was interrupted in a commit ({type(error).__name__})."))
            raise

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Execute one statement of a transaction."""
        return self._connection.execute(statement, values)

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of a SELECT; no lock is held afterwards.

        Raises:
            StoreError: The file cannot be read.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter when a message quotes damaged text
            raise self._read_error(error) from error

    def close(self) -> None:
        self._connection.close()

    def damaged(self, what: str) -> CorruptStoreError:
        """Return the error for a row that is not as it was written."""
        return CorruptStoreError(f"run {self.run_id}, {what} in {self._path}; put back a good copy of the file.")

    def _give_up(self, failure: StoreError) -> None:
        self._failure = failure
        with suppress(sqlite3.Error):
            self._connection.rollback()

    def _write_error(self, error: Exception) -> StoreError:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        text = f"run {self.run_id} could not be written ({error}, {name}); earlier commits are safe"
        return StoreFullError(text) if name == "SQLITE_FULL" else StoreError(text)

    def _read_error(self, error: Exception) -> StoreError:
        is_undecodable = isinstance(error, UnicodeDecodeError) or "decode to UTF-8" in str(error)
        if is_undecodable or getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT:
            return CorruptStoreError(f"{self._path} is damaged ({error}); put back a good copy of it.")
        return StoreError(f"{self._path} cannot be read ({error}); check the disk and the rights of the file.")


def check_is_run_folder(folder: Path) -> None:
    """Refuse a folder that holds no run.

    Raises:
        UnknownRunError: There is no file of a run.
        StoreError: There is something else under its name, or it cannot be looked at.
    """
    path = folder / RUN_FILE
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnknownRunError(folder.name, str(folder.parent)) from error
    except OSError as error:
        raise store_error(error, path) from error
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is a link or no file; the file of a run is never one.")
