"""A scenario that runs under strace, which records all its writes, syncs and renames.

Run as `python -m tests.faults.record SCENARIO FOLDER MUTANT`; prints a line for each promise: `low N`, all chunks below
N are in the stored result; `put N`, chunk N is stored; `complete`, the run is complete.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elastic.core.contracts.store import Commit, StoredChunk
from elastic.core.errors import ElasticError
from elastic.persistence import durable_file as disk
from elastic.persistence.chunk_store import segment_store, step_folder
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.run_store import sqlite_store
from elastic.persistence.run_store.sqlite_file import SqliteFile
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from tests.faults.simulated_flow import begin, patched


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def _promising(stack: ExitStack) -> None:
    """Let the stores print their promises."""
    commit = SqliteRunStore.commit

    def told_commit(self: SqliteRunStore, step: int, committed: Commit) -> None:
        commit(self, step, committed)
        _say(f"low {committed.low}")

    stack.enter_context(patched(SqliteRunStore, "commit", told_commit))
    for kind in (SegmentChunkStore, DirectoryChunkStore):

        def told_put(self: Any, kept: Sequence[StoredChunk], put: Any = kind.put) -> None:
            put(self, kept)
            for one in kept:
                _say(f"put {one.chunk.chunk_id}")

        stack.enter_context(patched(kind, "put", told_put))


def _nothing(_: Any) -> None:
    """Stand for an omitted sync."""


def _twice(file: int) -> None:
    """Sync, and try again after a failure."""
    try:
        os.fdatasync(file)
    except OSError:
        os.fdatasync(file)


def _without_sync(stack: ExitStack) -> None:
    stack.enter_context(patched(segment_store, "sync_file", _nothing))


def _without_database_sync(stack: ExitStack) -> None:
    prepare = SqliteFile._prepare

    def careless(self: SqliteFile) -> None:
        prepare(self)
        self.rows("PRAGMA synchronous=OFF")

    stack.enter_context(patched(SqliteFile, "_prepare", careless))


def _sync_again(stack: ExitStack) -> None:
    stack.enter_context(patched(segment_store, "sync_file", _twice))


def _without_folder_sync(stack: ExitStack) -> None:
    for module in (disk, segment_store, step_folder, sqlite_store):
        stack.enter_context(patched(module, "sync_folder", _nothing))


MUTANTS = {
    "none": lambda stack: None,
    "no fsync": _without_sync,
    "no fsync of the run file": _without_database_sync,
    "fsync retried": _sync_again,
    "no directory fsync": _without_folder_sync,
}


if __name__ == "__main__":
    name, folder, mutant = sys.argv[1:]
    with ExitStack() as stack:
        _promising(stack)
        MUTANTS[mutant](stack)
        try:
            begin(name, Path(folder))
            _say("complete")
        except ElasticError as error:
            _say(f"error {error}")
