"""Disk errors: after a failed sync the store writes nothing more and tries nothing again.

strace injects the errors into system calls of a child, so these tests need permission to use it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from persistence_samples import KEY, ROOT, RUN, chunk_of, commit_of, kept, row_of

from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.disk_reserve import RESERVE_BYTES, DiskReserve
from elastic.persistence.run_store.sqlite_store import SqliteRunStore

START = """
import sys
from pathlib import Path
sys.path.append("tests/persistence")
from persistence_samples import KEY, RUN, commit_of, kept, row_of
from elastic.core.errors import StoreError, StoreFullError
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
folder = Path(sys.argv[1])

def tried(act):
    try:
        act()
        print("done")
    except StoreError as error:
        print(type(error).__name__, error)
"""

PUT = """
store = {"segment": SegmentChunkStore, "directory": DirectoryChunkStore}[sys.argv[2]](folder, RUN, 0)
tried(lambda: store.put(kept(2)))
tried(lambda: store.put(kept(2)))
tried(lambda: store.get(1))
tried(lambda: store.delete([0]))
"""

COMMIT = """
store = SqliteRunStore.open(folder)
print("open")
tried(lambda: store.commit(0, commit_of(3, b"second", receipts=(row_of(1, 2),))))
tried(lambda: store.commit(0, commit_of(3, b"second", receipts=(row_of(1, 2),))))
tried(lambda: store.end(0, "complete", 9.0))
print(list(store.partials(0)))
"""


def strace(inject: str, script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    call = inject.split(":")[0]
    command = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={inject}"]
    child = [sys.executable, "-c", START + script, *map(str, arguments)]
    return subprocess.run([*command, *child], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module", autouse=True)
def faults() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    probe = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=1", "true"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("strace may not trace here")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    store = SqliteRunStore.create(tmp_path / RUN, RUN, KEY)
    store.begin(0, "count", {}, 1.0)
    store.commit(0, commit_of(1, b"first", receipts=(row_of(0),)))
    store.close()
    return tmp_path / RUN


KINDS: dict[str, type[SegmentChunkStore | DirectoryChunkStore]] = {
    "segment": SegmentChunkStore,
    "directory": DirectoryChunkStore,
}


def put_two(folder: Path, name: str) -> None:
    store = KINDS[name](folder, RUN, 0)
    store.put(kept(0, 1))
    store.close()


@pytest.mark.parametrize(
    "fault",
    # The omitted syncs are those of files of the earlier process.
    [
        "segment fdatasync:error=EIO:when=2",
        "segment fsync:error=EIO:when=2",
        "directory fdatasync:error=EIO:when=1",
        "directory fsync:error=EIO:when=2",
    ],
)
def test_a_chunk_store_is_not_used_after_a_failed_sync(fault: str, tmp_path: Path) -> None:
    name, inject = fault.split()
    put_two(tmp_path, name)
    done = strace(inject, PUT, tmp_path, name)
    put, again, get, delete = done.stdout.splitlines()
    assert put.startswith("StoreError"), done.stderr
    assert "was not synced to the disk (Input/output error)" in put
    assert all("closed after a failure" in line for line in (again, get, delete))
    store = KINDS[name](tmp_path, RUN, 0)
    ids = list(store.unfinished())
    assert ids in ([0, 1], [0, 1, 2])
    assert [store.get(chunk_id) for chunk_id in ids] == [chunk_of(chunk_id) for chunk_id in ids]


@pytest.mark.parametrize("fault", ["segment fdatasync", "segment fsync", "directory fsync"])
def test_what_an_earlier_process_left_is_synced_before_anything_is_built_on_it(fault: str, tmp_path: Path) -> None:
    name, call = fault.split()
    put_two(tmp_path, name)
    done = strace(f"{call}:error=EIO:when=1", PUT, tmp_path, name)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["StoreError"] * 4, done.stderr
    assert list(KINDS[name](tmp_path, RUN, 0).unfinished()) == [0, 1]


def test_a_write_that_fails_for_lack_of_room_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    for name in KINDS:
        put_two(tmp_path / name, name)
        done = strace("pwrite64:error=ENOSPC:when=1", PUT, tmp_path / name, name)
        first, *others = done.stdout.splitlines()
        assert first.startswith("StoreFullError"), done.stderr
        assert others == ["done"] * 3
        assert list(KINDS[name](tmp_path / name, RUN, 0).unfinished())[-2:] == [1, 2]


#: Opening takes the first 11 writes and the first 5 syncs of the child. The seventh sync is that of the folder, which
#: SQLite makes as well as it can.
COMMIT_FAULTS = [
    *(f"fdatasync:error=EIO:when={number}" for number in (6, 8, 9, 10)),
    *(f"pwrite64:error={error}:when={number}" for error in ("EIO", "ENOSPC") for number in (12, 25, 28)),
]


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
def test_a_commit_that_the_disk_refuses_ends_the_writing_and_is_not_tried_again(fault: str, run: Path) -> None:
    done = strace(fault, COMMIT, run)
    opened, commit, again, end, _ = done.stdout.splitlines()
    assert opened == "open"
    error = "StoreFullError" if "ENOSPC" in fault else "StoreError"
    assert commit.startswith(f"{error} run {RUN} could not be written"), done.stderr
    assert again == end == commit
    store = SqliteRunStore.open(run)
    if store.steps()[0].low == 1:
        store.commit(0, commit_of(3, b"second", receipts=(row_of(1, 2),)))
    assert list(store.partials(0)) == [b"first", b"second"]
    assert [row.first for row in store.receipts(0)] == [0, 1]
    store.close()


@pytest.mark.parametrize(
    ("call", "numbers"), [("pwrite64", (10, 60, 4)), ("fdatasync", (5, 20)), ("ftruncate", (2, 20))]
)
def test_a_commit_killed_inside_sqlite_is_there_whole_or_not_at_all(
    call: str, numbers: tuple[int, ...], run: Path
) -> None:
    states = []
    for number in range(*numbers):
        folder = shutil.copytree(run, run.parent / f"{call}-{number}")
        done = strace(f"{call}:signal=KILL:when={number}", COMMIT, folder)
        store = SqliteRunStore.open(folder)
        [record] = store.steps()
        states.append((record.low, list(store.partials(0)), [row.first for row in store.receipts(0)]))
        store.close()
        if done.stdout.endswith("]\n"):
            break
    before, after = (1, [b"first"], [0]), (3, [b"first", b"second"], [0, 1])
    assert states[0] == before
    assert states[-1] == after
    assert all(state in (before, after) for state in states)


def test_the_reserve_of_a_killed_process_is_acquired_again_and_released(tmp_path: Path) -> None:
    left = tmp_path / "ballast"
    left.write_bytes(b"left")
    reserve = DiskReserve(left)
    reserve.acquire()
    assert left.stat().st_size == RESERVE_BYTES
    inode = left.stat().st_ino
    reserve.acquire()
    assert left.stat().st_ino == inode, "once is enough"
    for _ in range(2):
        reserve.release()
        assert not left.exists()
    reserve.acquire()
    assert left.stat().st_size == RESERVE_BYTES
