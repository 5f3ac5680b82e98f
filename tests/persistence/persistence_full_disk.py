"""Stores on a full disk, in a separate process: `persistence_full_disk.py STORE FOLDER LIMIT`.

`STORE` is `segment`, `directory` or `run`, or `reserve-segment` and `reserve-directory` for the room that a run with
such a store sets aside. `LIMIT` says how room is taken away and given back: `ballast` fills the file system, which must
be a small one, and `rlimit` limits the size of files.
"""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from persistence_samples import KEY, RUN, chunk_of, commit_of, kept, row_of

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.errors import StoreError, StoreFullError
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.disk_reserve import RESERVE_BYTES
from elastic.persistence.run_store.sqlite_store import SqliteRunStore

ROOM = 60_000
LARGE = 300_000
KINDS: dict[str, type[SegmentChunkStore | DirectoryChunkStore]] = {
    "segment": SegmentChunkStore,
    "directory": DirectoryChunkStore,
}


@contextmanager
def little_room(folder: Path, limit: str) -> Iterator[None]:
    """Leave space for about `ROOM` bytes inside the block."""
    if limit == "rlimit":
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return
    system = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(system.f_bavail * system.f_frsize - ROOM))
    yield
    ballast.unlink()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "ballast"}


def chunks(kind: type[SegmentChunkStore | DirectoryChunkStore], folder: Path, limit: str) -> None:
    store: ChunkStore = kind(folder, RUN, 0)
    store.put(kept(0, 1))
    before = files(folder)
    large = chunk_of(3)._replace(payload=os.urandom(LARGE))
    group = [*kept(2), StoredChunk(large, "token-3"), *kept(4)]
    with little_room(folder, limit):
        for _ in range(2):
            with pytest.raises(StoreFullError, match="free some space and try again"):
                store.put(group)
            assert list(store.unfinished()) == [0, 1]
            assert files(folder) == before
        assert list(kind(folder, RUN, 0).unfinished()) == [0, 1]
        store.put(kept(5))
        store.delete([0])
    store.put(group)
    assert list(store.unfinished()) == [1, 2, 3, 4, 5]
    again = kind(folder, RUN, 0)
    again.delete([0])
    assert [again.get(chunk_id) for chunk_id in again.unfinished()] == [
        large if chunk_id == 3 else chunk_of(chunk_id) for chunk_id in (1, 2, 3, 4, 5)
    ]


def run(folder: Path, limit: str) -> None:
    place = folder / RUN
    store = SqliteRunStore.create(place, RUN, KEY)
    store.begin(0, "count", {}, 1.0)
    store.commit(0, commit_of(1, b"first", receipts=(row_of(0),)))
    large = commit_of(2, os.urandom(LARGE), receipts=(row_of(1),))
    # SQLite reports a limit of this process as an error of the disk.
    error = StoreFullError if limit == "ballast" else StoreError
    with little_room(folder, limit), pytest.raises(error, match="earlier commits are safe"):
        store.commit(0, large)
    with pytest.raises(error, match="earlier commits are safe"):
        store.commit(0, large)
    assert list(store.partials(0)) == [b"first"]
    store.close()
    store = SqliteRunStore.open(place)
    assert (store.steps()[0].low, list(store.partials(0))) == (1, [b"first"])
    store.commit(0, large)
    assert (store.steps()[0].low, list(store.partials(0))) == (2, [b"first", *large.partials])
    store.close()


def reserve(folder: Path, kind: str) -> None:
    place = folder / RUN
    store = SqliteRunStore.create(place, RUN, KEY, chunk_store=kind)
    store.begin(0, "count", {}, 1.0)
    set_aside = place / "ballast"
    assert not set_aside.exists()
    store.chunks(0).put(kept(0))
    assert set_aside.stat().st_blocks * 512 >= RESERVE_BYTES
    with little_room(folder, "ballast"):
        with pytest.raises(StoreFullError):
            store.chunks(0).put([StoredChunk(chunk_of(1)._replace(payload=os.urandom(LARGE)), "token-1")])
        assert not set_aside.exists()
        # Far more than the free space: it uses the reserve.
        store.commit(0, commit_of(1, os.urandom(10 * LARGE), receipts=(row_of(0),)))
        store.chunks(0).put(kept(2))
        assert not set_aside.exists()
    store.chunks(0).put(kept(3))
    assert set_aside.stat().st_blocks * 512 >= RESERVE_BYTES
    store.close()
    assert not set_aside.exists()


if __name__ == "__main__":
    _, name, place, limit = sys.argv
    if name == "run":
        run(Path(place), limit)
    elif name.startswith("reserve-"):
        reserve(Path(place), name.partition("-")[2])
    else:
        chunks(KINDS[name], Path(place), limit)
    sys.stdout.write("told\n")
