"""A process that kills itself with SIGKILL before its k-th call to the system or to SQLite, for every k.

Run as `persistence_crash.py STORY FOLDER`: runs the story in `FOLDER/1`, `FOLDER/2`, ... until it
completes, and prints the number of kills. The test checks the folders.
"""

import itertools
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from persistence_samples import KEY, RUN, commit_of, kept, letter_of, row_of

from elastic.core.contracts.store import ChunkStore
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.run_store.sqlite_store import SqliteRunStore

#: Together more than SQLite's cache, so that a part is in the file before the commit.
BIG = tuple(bytes([n]) * 400_000 for n in range(12))

Prepared = Callable[[], Any]


def run_with_one_commit(folder: Path) -> SqliteRunStore:
    store = SqliteRunStore.create(folder / RUN, RUN, KEY)
    store.begin(0, "count", {}, 1.0)
    store.commit(0, commit_of(1, b"first", receipts=(row_of(0),), counters={"n": 1}))
    return store


def commit(folder: Path) -> Prepared:
    store = run_with_one_commit(folder)
    return lambda: store.commit(0, commit_of(3, b"second", receipts=(row_of(1, 2),), counters={"n": 3}))


def redrive(folder: Path) -> Prepared:
    store = run_with_one_commit(folder)
    store.commit(0, commit_of(2, dead_letters=(letter_of(0, 0), letter_of(0, 1)), counters={"n": 2}))
    changes = {"redriven": ((0, 0), (0, 1)), "dead_letters": (letter_of(2, 0),), "counters": {"n": 3}}
    return lambda: store.commit(0, commit_of(3, b"second", **changes))


def big_commit(folder: Path) -> Prepared:
    store = run_with_one_commit(folder)
    return lambda: store.commit(0, commit_of(3, *BIG, receipts=(row_of(1, 2),), counters={"n": 3}))


def create(folder: Path) -> Prepared:
    return lambda: SqliteRunStore.create(folder / RUN, RUN, KEY)


def reopen(folder: Path) -> Prepared:
    run_with_one_commit(folder).close()
    return lambda: SqliteRunStore.open(folder / RUN)


def put_and_delete(store: ChunkStore) -> Prepared:
    store.put(kept(0, 1))

    def story() -> None:
        store.put(kept(2, 3))
        store.delete([0])
        store.put(kept(4))

    return story


def segment(folder: Path) -> Prepared:
    return put_and_delete(SegmentChunkStore(folder, RUN, 0))


def small_segments(folder: Path) -> Prepared:
    return put_and_delete(SegmentChunkStore(folder, RUN, 0, segment_bytes=1))


def directory(folder: Path) -> Prepared:
    return put_and_delete(DirectoryChunkStore(folder, RUN, 0))


STORIES: dict[str, Callable[[Path], Prepared]] = {
    story.__name__: story for story in (commit, redrive, big_commit, create, reopen, segment, small_segments, directory)
}


def kill_before_call(number: int) -> None:
    """Kill this process right before a numbered call."""
    numbers = itertools.count(1)

    def count(frame: object, event: str, called: Any) -> None:
        if event != "c_call":
            return
        is_io = called.__module__ == "posix" or isinstance(called.__self__, sqlite3.Connection)
        if is_io and next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def is_killed(story: Callable[[Path], Prepared], folder: Path, number: int) -> bool:
    child = os.fork()
    if child == 0:
        act = story(folder)
        kill_before_call(number)
        act()
        sys.setprofile(None)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise AssertionError(f"call {number}: the child ended with {status}")
    return status != 0


if __name__ == "__main__":
    name, base = sys.argv[1], Path(sys.argv[2])
    for number in itertools.count(1):
        (base / str(number)).mkdir()
        if not is_killed(STORIES[name], base / str(number), number):
            sys.stdout.write(f"{number - 1}\n")
            break
