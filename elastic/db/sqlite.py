"""SQLite, opened so that several processes neither corrupt the file nor lock each other out."""

import os
import sqlite3
from pathlib import Path
from typing import Any

from elastic.core.errors import StoreError
from elastic.persistence.durable_file import make_folder

#: Two connections that write at the same moment can corrupt a database in WAL mode before this version.
_WAL_IS_SAFE = (3, 51, 3)

#: File systems that are reached over a network, where WAL's shared memory is not shared.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs", "fuse.sshfs"}


def journal_mode(path: Path, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Return the journal that is safe for a file with several writers, and cheap.

    A rollback journal that stays, its header overwritten, is synced four times as fast as one that is cut or deleted.
    """
    return "WAL" if version >= _WAL_IS_SAFE and _file_system(path) not in _NETWORK else "PERSIST"


def prepare_file(path: Path) -> None:
    """Make the folder and the file of a database for its owner only, unless they are there.

    Raises:
        StoreError: They cannot be made.
    """
    try:
        make_folder(path.parent, is_durable=False)
        # Made here and not by SQLite, which would let others read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be opened ({error.strerror}); "
            "set ELASTIC_HOME or database.url to another place."
        ) from error


def set_up(connection: Any, mode: str, timeout: float) -> None:
    """Set what holds for a connection (of `sqlite3`) as long as it is open; `timeout` is in seconds.

    Raises:
        StoreError: The database is in WAL mode, which cannot be shared by this version of SQLite.
    """
    # Transactions are begun by the one who knows whether they write: sqlite3 itself begins them too late.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    if _set_journal(connection, mode) == "wal" and mode != "WAL":
        raise StoreError(
            f"the database is in WAL mode, and SQLite {sqlite3.sqlite_version} may damage it when several processes "
            "write; stop the other processes once, so that the mode can be changed."
        )
    connection.execute("PRAGMA synchronous = FULL")


def _set_journal(connection: Any, mode: str) -> str:
    try:
        (found,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    except sqlite3.OperationalError:
        (found,) = connection.execute("PRAGMA journal_mode").fetchone()
        if found != "wal":
            raise
    return str(found)


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds a path, or nothing where the machine does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    place = path.resolve()
    best, kind = "", ""
    for line in mounts:
        _, folder, type_, *_ = line.split(" ")
        if place.is_relative_to(folder) and len(folder) >= len(best):
            best, kind = folder, type_
    return kind
