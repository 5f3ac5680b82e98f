"""Run stores: one writer at a time, any number of readers, private files, atomic creation."""

import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from persistence_samples import KEY, ROOT, RUN, commit_of, everything, kept, make_run, row_of, start

from elastic.core.errors import (
    EncodingError,
    FencedError,
    RunLockedError,
    StoreError,
    UsageError,
)
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.run_store.sqlite_store import MAX_PARTIAL, SqliteRunStore
from tests.core.column_samples import with_changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def test_each_master_that_opens_a_run_is_of_a_higher_epoch(folder: Path) -> None:
    for epoch in (2, 3, 4):
        store = SqliteRunStore.open(folder)
        assert store.epoch == epoch
        store.close()
    reader = SqliteRunStore.read(folder)
    assert reader.epoch == 4
    reader.close()


def test_a_second_master_is_kept_out_while_the_first_is_at_work(folder: Path) -> None:
    first = SqliteRunStore.open(folder)
    for take in (lambda: SqliteRunStore.open(folder), lambda: SqliteRunStore.create(folder, RUN, KEY)):
        with pytest.raises(RunLockedError, match=f"{RUN} is being worked on by process {os.getpid()}"):
            take()
    assert first.epoch == 2
    first.commit(0, commit_of(4))
    first.close()


OPEN_AND_WAIT = """
import sys
from pathlib import Path
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
store = SqliteRunStore.open(Path(sys.argv[1]))
print(store.epoch, flush=True)
sys.stdin.read()
"""


def test_a_master_in_another_process_keeps_this_one_out_until_it_is_killed(folder: Path) -> None:
    with start(OPEN_AND_WAIT, folder) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "2\n"
        with pytest.raises(RunLockedError, match=f"process {other.pid} on "):
            SqliteRunStore.open(folder)
        other.kill()
    store = SqliteRunStore.open(folder)
    assert store.epoch == 3
    store.close()


WRITES: list[Callable[[SqliteRunStore], None]] = [
    lambda store: store.commit(0, commit_of(9, b"late", receipts=(row_of(9),))),
    lambda store: store.end(0, "complete", 9.0),
    lambda store: store.begin(0, "count", {}, 9.0),
    lambda store: store.begin(1, "sort", {}, 9.0),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_master_that_was_replaced_writes_nothing_more(folder: Path, write: Callable[[SqliteRunStore], None]) -> None:
    old = SqliteRunStore.open(folder)
    # Another host does not see the lock; removing its file has the same effect.
    (folder / "lock").unlink()
    new = SqliteRunStore.open(folder)
    assert (old.epoch, new.epoch) == (2, 3)
    new.commit(0, commit_of(4, b"fourth"))
    before = (folder / "run.sqlite").read_bytes()
    with pytest.raises(FencedError, match=f"{RUN} was taken over by a newer master"):
        write(old)
    for attempt in WRITES:
        with pytest.raises(FencedError):
            attempt(old)
    assert (folder / "run.sqlite").read_bytes() == before
    new.commit(0, commit_of(5, b"fifth"))
    assert list(new.partials(0)) == list(old.partials(0)) == [b"first", b"second", b"third", b"fourth", b"fifth"]
    old.close()
    new.close()


def test_a_reader_sees_each_commit_while_the_master_works(folder: Path) -> None:
    master = SqliteRunStore.open(folder)
    script = (
        "import sys; from pathlib import Path; from elastic.persistence.run_store.sqlite_store import SqliteRunStore\n"
        "store = SqliteRunStore.read(Path(sys.argv[1]))\n"
        "for _ in sys.stdin:\n"
        "    rows = list(store.receipts(0))\n"
        "    print(store.epoch, store.steps()[0].low, len(list(store.partials(0))), len(rows), flush=True)\n"
    )
    with start(script, folder) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for low in range(4, 8):
            master.commit(0, commit_of(low, b"more", receipts=(row_of(low),)))
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == f"2 {low} {low} {low - 1}\n"
        reader.stdin.close()
    master.close()


def test_a_reader_between_two_pages_blocks_no_writer(folder: Path) -> None:
    master, reader = SqliteRunStore.open(folder), SqliteRunStore.read(folder)
    partials, receipts = reader.partials(0), reader.receipts(0)
    assert (next(partials), next(receipts)) == (b"first", row_of(0))
    master.commit(0, commit_of(4, b"fourth", receipts=(row_of(3),)))
    assert list(partials) == [b"second", b"third"]
    assert list(receipts) == [row_of(1, 2)]
    reader.close()
    master.close()


def test_many_receipts_are_read_page_by_page_in_their_order(folder: Path) -> None:
    store = SqliteRunStore.open(folder)
    firsts = random.Random(3).sample(range(3, 1300), 1297)
    store.commit(0, commit_of(1300, receipts=tuple(row_of(first) for first in firsts)))
    assert [row.first for row in store.receipts(0)] == [0, 1, *range(3, 1300)]
    store.close()


@pytest.mark.parametrize("write", WRITES)
def test_a_reader_does_not_write(folder: Path, write: Callable[[SqliteRunStore], None]) -> None:
    before = (folder / "run.sqlite").read_bytes()
    reader = SqliteRunStore.read(folder)
    with pytest.raises(StoreError, match="opened for reading"):
        write(reader)
    with pytest.raises(StoreError, match="opened for reading"):
        reader.chunks(0).put(kept(1))
    reader.close()
    assert (folder / "run.sqlite").read_bytes() == before


@pytest.mark.parametrize(("name", "kind"), [("segment", SegmentChunkStore), ("directory", DirectoryChunkStore)])
def test_a_run_keeps_its_chunks_in_the_store_it_was_made_with(name: str, kind: type, tmp_path: Path) -> None:
    first = SqliteRunStore.create(tmp_path / RUN, RUN, KEY, chunk_store=name)
    first.chunks(0).put(kept(1, 2))
    first.close()
    second = SqliteRunStore.open(tmp_path / RUN)
    assert type(second.chunks(0)) is kind
    assert list(second.chunks(0).unfinished()) == [1, 2]
    second.close()


def test_files_and_folders_are_private_also_in_the_middle_of_a_commit(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteRunStore.create(tmp_path / "home" / RUN, RUN, KEY)
        store.begin(0, "count", {}, 1.0)
        store.chunks(0).put(kept(1))
        modes = {path: (path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (tmp_path / "home").rglob("*")}
    finally:
        os.umask(before)
    assert {path.name for path in modes} >= {"run.sqlite", "run.sqlite-journal", "key", "lock", "000000.segment"}
    assert set(modes.values()) == {(True, 0o700), (False, 0o600)}
    store.close()


def test_the_key_is_in_its_own_file_and_nowhere_else(folder: Path) -> None:
    assert (folder / "key").read_bytes() == KEY
    assert [path.name for path in folder.rglob("*") if path.is_file() and KEY in path.read_bytes()] == ["key"]


def test_a_run_is_not_made_where_one_is(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}
    with pytest.raises(StoreError, match="exists already; a new run needs a new folder"):
        SqliteRunStore.create(folder, RUN, bytes(32))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"} == before
    SqliteRunStore.open(folder).close()


def test_a_key_of_another_length_and_a_store_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="32 random bytes, got 31"):
        SqliteRunStore.create(tmp_path / RUN, RUN, bytes(31))
    with pytest.raises(UsageError, match="chunk_store='tape' must be one of"):
        SqliteRunStore.create(tmp_path / RUN, RUN, KEY, chunk_store="tape")
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_made_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="home"):
        SqliteRunStore.create(tmp_path / "home" / RUN, RUN, KEY)


def test_what_cannot_be_kept_is_refused_and_the_run_goes_on(folder: Path) -> None:
    store = SqliteRunStore.open(folder)
    before = everything(store)
    for bad in (
        commit_of(4, position=(object(),)),
        commit_of(-1),
        commit_of(1 << 63),
        commit_of(4, counters={"n": object()}),
        commit_of(4, receipts=(row_of(4), with_changes(row_of(5), entries=()))),
    ):
        with pytest.raises(EncodingError):
            store.commit(0, bad)
    with pytest.raises(StoreError, match="more than 999,999,000 bytes"):
        store.commit(0, commit_of(4, bytes(MAX_PARTIAL + 1)))
    assert everything(store) == before
    store.commit(0, commit_of(4, b"good"))
    store.close()


def test_the_package_has_one_name() -> None:
    done = subprocess.run([sys.executable, "-c", "import persistence"], cwd=ROOT, capture_output=True, text=True)
    assert "ImportError: import elastic.persistence, not persistence" in done.stderr
