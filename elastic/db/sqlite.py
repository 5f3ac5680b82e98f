"""SQLite settings with which several processes neither corrupt the file nor block each other."""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

from elastic.core.errors import StoreError
from elastic.persistence.durable_file import create_whole, make_folder
from elastic.persistence.sqlite import is_wal_safe, use_journal


def journal_mode(path: Path, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Return the fastest journal mode that is safe for a file with several writers."""
    return "WAL" if is_wal_safe(path, version) else "PERSIST"


def prepare_file(path: Path) -> None:
    """Create the folder and the file of a database, if missing, with access for the owner only.

    Raises:
        StoreError: They cannot be created.
    """
    try:
        make_folder(path.parent, is_durable=False)
        # Created here because SQLite would let other users read it. A file that exists is never opened: its closing
        # would release the locks of all connections of this process, and other processes would damage their work.
        if not path.exists():
            create_whole(path.resolve(), b"")
        if path.is_dir() or not os.access(path, os.R_OK | os.W_OK):
            number = errno.EISDIR if path.is_dir() else errno.EACCES
            raise OSError(number, os.strerror(number))
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be opened ({error.strerror}); "
            "set ELASTIC_HOME or database.url to another place."
        ) from error


def set_up(connection: Any, mode: str, timeout: float) -> None:
    """Configure a connection of `sqlite3`; `timeout` is in seconds.

    Raises:
        StoreError: The database is in WAL mode, which is unsafe with this version of SQLite.
    """
    # `Database` begins transactions, because it knows whether they write; sqlite3 would begin them too late.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    use_journal(connection, mode)
