"""SQLite for files that several processes write: which journal is safe, which is fast, and how to set it.

A file in WAL mode can be damaged by two connections that write at the same moment, below SQLite 3.51.3
(https://sqlite.org/wal.html, "The WAL-Reset Bug"). WAL also needs memory that all processes share, which a network file
system cannot give. A rollback journal is safe everywhere. With `synchronous=FULL` it is as durable as WAL: SQLite syncs
the journal, the file and the end of the journal.

The file of a run uses `TRUNCATE`. Two connections write it when a master that was presumed dead wakes up. A commit
takes 0.7 ms instead of WAL's 0.2, twenty times a second. A large partial is written once, because new pages need no
journal. The price: a commit waits for a reader in the middle of a SELECT. So readers fetch small pages, and hold no
lock while their caller works.

The metadata database uses WAL where it is safe, else `PERSIST`. A journal that stays, with its header overwritten, is
synced four times as fast as one that is truncated or deleted.
"""

import sqlite3
from pathlib import Path
from typing import Any

from elastic.core.errors import StoreError

#: First version of SQLite without the WAL-reset bug.
_WAL_SAFE_VERSION = (3, 51, 3)

#: File systems that are reached over a network, where processes do not share WAL's memory.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs", "fuse.sshfs"}


def is_wal_safe(path: Path, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Return whether several processes may write the file `path` in WAL mode."""
    return version >= _WAL_SAFE_VERSION and _file_system(path) not in _NETWORK


def use_journal(connection: Any, mode: str) -> None:
    """Set the journal mode of a file, and sync every commit to the disk.

    Args:
        connection: A connection of `sqlite3`, or a driver's wrapper of one.
        mode: A journal mode of SQLite, in capitals.

    Raises:
        StoreError: The file is in WAL mode, and other processes that use it prevent the change.
        sqlite3.Error: SQLite refuses.
    """
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
    """Return the type of the file system that holds a path, or "" if the machine does not list its mounts."""
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
