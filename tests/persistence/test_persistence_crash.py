"""After a kill at any moment, the next process finds each commit and each chunk whole or not at all."""

import os
import sys
from pathlib import Path

import pytest
from persistence_crash import BIG
from persistence_samples import KEY, RUN, chunk_of, commit_of, finish, kept, letter_of, row_of, start

from elastic.core.contracts.store import ChunkStore
from elastic.core.errors import StoreError, UnknownRunError
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.run_store.sqlite_store import SqliteRunStore


def crashes(story: str, folder: Path) -> list[Path]:
    """Return the folders of the children killed before each call, and that of the last child, which completed."""
    command = [sys.executable, Path(__file__).with_name("persistence_crash.py"), story, folder]
    [killed] = finish([*map(str, command)])
    assert int(killed) >= 5
    return [folder / str(number) for number in range(1, int(killed) + 2)]


def summary(store: SqliteRunStore) -> tuple[int, dict[str, int], list[bytes], list[int]]:
    [record] = store.steps()
    return record.low, record.counters, list(store.partials(0)), [row.first for row in store.receipts(0)]


@pytest.mark.parametrize(("story", "partials"), [("commit", (b"second",)), ("big_commit", BIG)])
def test_a_commit_whose_process_is_killed_at_any_call_is_there_whole_or_not_at_all(
    story: str, partials: tuple[bytes, ...], tmp_path: Path
) -> None:
    before = (1, {"n": 1}, [b"first"], [0])
    after = (3, {"n": 3}, [b"first", *partials], [0, 1])
    seen = []
    for folder in crashes(story, tmp_path):
        reader = SqliteRunStore.read(folder / RUN)
        seen.append(summary(reader))
        reader.close()
        store = SqliteRunStore.open(folder / RUN)
        assert store.epoch == 2
        assert summary(store) == seen[-1]
        if seen[-1] == before:
            store.commit(0, commit_of(3, *partials, receipts=(row_of(1, 2),), counters={"n": 3}))
        assert summary(store) == after
        store.close()
    assert seen == [before] * (len(seen) - 1) + [after]


def test_a_redrive_whose_process_is_killed_at_any_call_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    seen = []
    for folder in crashes("redrive", tmp_path):
        store = SqliteRunStore.open(folder / RUN)
        seen.append((list(store.partials(0)), list(store.dead_letters(0))))
        store.close()
    assert seen[:-1] == [([b"first"], [letter_of(0, 0), letter_of(0, 1)])] * (len(seen) - 1)
    assert seen[-1] == ([b"first", b"second"], [letter_of(2, 0)])


def test_a_process_killed_in_a_big_commit_leaves_a_half_written_file_for_the_next_to_undo(tmp_path: Path) -> None:
    sizes = {(folder / RUN / "run.sqlite-journal").stat().st_size for folder in crashes("big_commit", tmp_path)}
    assert max(sizes) > 0
    assert min(sizes) == 0


def test_a_run_whose_process_is_killed_while_it_is_made_is_there_or_says_so(tmp_path: Path) -> None:
    outcomes = set()
    for folder in crashes("create", tmp_path):
        try:
            store = SqliteRunStore.open(folder / RUN)
        except UnknownRunError:
            outcomes.add("unknown")
        except StoreError as error:
            assert "stopped while it was created" in str(error)
            outcomes.add("half")
        else:
            assert (store.run_id, store.key, store.epoch, store.steps()) == (RUN, KEY, 2, [])
            store.close()
            outcomes.add("whole")
    assert outcomes == {"unknown", "half", "whole"}


def test_an_epoch_whose_master_is_killed_while_it_opens_the_run_is_never_given_twice(tmp_path: Path) -> None:
    epochs = set()
    for folder in crashes("reopen", tmp_path):
        store = SqliteRunStore.open(folder / RUN)
        epochs.add(store.epoch)
        assert store.steps()[0].low == 1
        store.close()
    assert epochs == {2, 3}


@pytest.mark.parametrize("story", ["segment", "small_segments", "directory"])
def test_chunks_whose_process_is_killed_at_any_call_are_there_whole_or_not_at_all(story: str, tmp_path: Path) -> None:
    seen = set()
    for folder in crashes(story, tmp_path):
        store: ChunkStore = (DirectoryChunkStore if story == "directory" else SegmentChunkStore)(folder, RUN, 0)
        ids = list(store.unfinished())
        assert [store.get(chunk_id) for chunk_id in ids] == [chunk_of(chunk_id) for chunk_id in ids]
        assert 1 in ids
        store.put(kept(0, 1, 2, 3, 4))
        assert list(store.unfinished()) == [0, 1, 2, 3, 4]
        store.clean()
        assert [path for path in folder.rglob("*") if path.is_file()] == []
        seen.add(tuple(ids))
    assert {(0, 1), (0, 1, 2, 3)} <= seen
    assert max(seen, key=max)[-1] == 4


COMMIT_FOR_EVER = """
import itertools, sys
from pathlib import Path
sys.path.append("tests/persistence")
from persistence_samples import KEY, RUN, commit_of, kept, row_of
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
store = SqliteRunStore.create(Path(sys.argv[1]), RUN, KEY)
store.begin(0, "count", {}, 1.0)
for n in itertools.count():
    store.chunks(0).put(kept(n))
    print("put", n, flush=True)
    store.commit(0, commit_of(n + 1, b"%d" % n, receipts=(row_of(n),), counters={"n": n + 1}))
    print("committed", n, flush=True)
    store.chunks(0).delete([n - 3])
"""


@pytest.mark.parametrize("lines", [1, 2, 7, 30, 31, 80, 143])
def test_what_was_reported_as_kept_is_kept_when_the_process_is_killed_from_outside(lines: int, tmp_path: Path) -> None:
    folder = tmp_path / RUN
    with start(COMMIT_FOR_EVER, folder) as child:
        assert child.stdout is not None
        said = [child.stdout.readline().split() for _ in range(lines)]
        child.kill()
        # Its output between the last read and its end.
        said += [words for line in child.stdout if len(words := line.split()) == 2 and line.endswith("\n")]
    committed = sum(word == "committed" for word, _ in said)
    put = sum(word == "put" for word, _ in said)
    store = SqliteRunStore.open(folder)
    low, counters, partials, receipts = summary(store)
    assert low in (committed, committed + 1)
    assert (counters.get("n", 0), partials, receipts) == (low, [b"%d" % n for n in range(low)], list(range(low)))
    chunks = store.chunks(0)
    chunks.delete(range(low))
    assert list(chunks.unfinished()) in (list(range(low, put)), list(range(low, put + 1)))
    assert all(chunks.get(n) == chunk_of(n) for n in chunks.unfinished())
    store.close()


SYNCS = """
import os, sys
from pathlib import Path
sys.path.append("tests/persistence")
from persistence_samples import RUN, kept
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
store = {"segment": SegmentChunkStore, "directory": DirectoryChunkStore}[sys.argv[1]](Path(sys.argv[2]), RUN, 0)
calls = []
sys.setprofile(lambda _, event, called: calls.append(called.__name__) if event == "c_call" else None)
store.put(kept(0))
first = len(calls)
store.put(kept(1))
sys.setprofile(None)
wanted = {"pwrite", "fdatasync", "fsync", "rename"}
print(*(name for name in calls[:first] if name in wanted))
print(*(name for name in calls[first:] if name in wanted))
"""


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="this system has no fdatasync")
@pytest.mark.parametrize(
    ("store", "first", "second"),
    [
        # The first two syncs are those of the new folders; a segment's name is synced once, a file's each time.
        ("segment", "fsync fsync pwrite fdatasync fsync", "pwrite fdatasync"),
        ("directory", "fsync fsync pwrite fdatasync rename fsync", "pwrite fdatasync rename fsync"),
    ],
)
def test_data_is_synced_before_its_name_and_both_before_put_returns(
    store: str, first: str, second: str, tmp_path: Path
) -> None:
    assert finish([sys.executable, "-c", SYNCS, store, str(tmp_path)]) == [first, second]


def test_a_run_is_written_with_full_syncs_and_read_without_the_right_to_write(tmp_path: Path) -> None:
    store = SqliteRunStore.create(tmp_path / RUN, RUN, KEY)
    asked = [store._file.rows(f"PRAGMA {name}")[0][0] for name in ("synchronous", "journal_mode")]
    assert asked == [2, "truncate"]
    reader = SqliteRunStore.read(tmp_path / RUN)
    assert reader._file.rows("PRAGMA query_only") == [(1,)]
    reader.close()
    store.close()
