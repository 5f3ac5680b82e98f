"""What every chunk store and every run store must do, whoever wrote it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic.core.chunk import Chunk
from elastic.core.encoding import compress, digest, pack
from elastic.core.errors import EncodingError, StoreError
from elastic.core.failure import DeadLetter, Failure
from elastic.core.store import ChunkStore, Commit, Kept, ReceiptRow, RunStore
from elastic.persistence.directory_store import DirectoryChunkStore
from elastic.persistence.memory_store import MemoryChunkStore, MemoryRunStore
from elastic.persistence.segment_store import SegmentChunkStore
from elastic.persistence.sqlite_store import SqliteRunStore

ROOT = Path(__file__).parents[2]
RUN = "20261120-231512-4f9a2c1b7d3e"
Opener = Callable[[Path], ChunkStore]

OPENERS: dict[str, Opener] = {
    "memory": lambda folder: MemoryChunkStore(),
    "segment": lambda folder: SegmentChunkStore(folder, RUN, 0),
    "small-segments": lambda folder: SegmentChunkStore(folder, RUN, 0, segment_bytes=300),
    "directory": lambda folder: DirectoryChunkStore(folder, RUN, 0),
}
ON_DISK = sorted(OPENERS.keys() - {"memory"})


def chunk_of(chunk_id: int, entries: int = 3) -> Chunk:
    plain = pack([f"entry {chunk_id}.{n}" for n in range(entries)])
    return Chunk(
        chunk_id, (0, chunk_id * 3), 1_800_000_000_000_000, (chunk_id * 3, 3), compress(plain), 3, digest(plain)
    )


def kept(*chunk_ids: int) -> list[Kept]:
    return [Kept(chunk_of(chunk_id), f"token-{chunk_id}") for chunk_id in chunk_ids]


@pytest.fixture(params=sorted(OPENERS))
def chunks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChunkStore]:
    store = OPENERS[request.param](tmp_path)
    yield store
    store.close()


class TestChunkStore:
    def test_a_chunk_comes_back_as_it_was_put(self, chunks: ChunkStore) -> None:
        chunks.put(kept(0, 1, 2))
        assert [chunks.get(chunk_id) for chunk_id in (2, 0, 1)] == [chunk_of(2), chunk_of(0), chunk_of(1)]

    def test_all_that_a_chunk_may_hold_comes_back(self, chunks: ChunkStore) -> None:
        wide = Chunk(1 << 60, ("a", None, 2**80, ("b", 1.5)), -1, ("\udcff/ä", None, [1, 2]), b"", -1, bytes(16))
        without = Chunk(7, (), 0, ())
        chunks.put([Kept(wide, "wide"), Kept(without, "without")])
        assert chunks.get(1 << 60) == wide
        assert chunks.get(7) == without

    def test_a_chunk_that_was_never_put_is_a_lookup_error(self, chunks: ChunkStore) -> None:
        chunks.put(kept(1))
        with pytest.raises(LookupError, match="chunk 9"):
            chunks.get(9)

    def test_unfinished_are_the_kept_ones_in_ascending_order(self, chunks: ChunkStore) -> None:
        assert list(chunks.unfinished()) == []
        chunks.put(kept(5, 3))
        chunks.put(kept(4))
        chunks.delete([3])
        assert list(chunks.unfinished()) == [4, 5]

    def test_putting_a_chunk_twice_is_the_same_as_once(self, chunks: ChunkStore) -> None:
        chunks.put(kept(1, 1))
        chunks.put(kept(1, 2))
        assert list(chunks.unfinished()) == [1, 2]
        chunks.delete([1])
        assert list(chunks.unfinished()) == [2]

    def test_deleting_twice_or_what_was_never_put_changes_nothing(self, chunks: ChunkStore) -> None:
        chunks.put(kept(1, 2))
        chunks.delete([1, 1, 99])
        chunks.delete(iter([1]))
        assert list(chunks.unfinished()) == [2]
        with pytest.raises(LookupError):
            chunks.get(1)

    def test_a_deleted_chunk_can_be_put_again(self, chunks: ChunkStore) -> None:
        chunks.put(kept(1))
        chunks.delete([1])
        chunks.put(kept(1))
        assert chunks.get(1) == chunk_of(1)

    def test_no_chunks_can_be_put(self, chunks: ChunkStore) -> None:
        chunks.put([])
        chunks.delete([])
        assert list(chunks.unfinished()) == []

    def test_chunks_may_be_deleted_while_the_unfinished_are_read(self, chunks: ChunkStore) -> None:
        chunks.put(kept(1, 2, 3))
        for chunk_id in chunks.unfinished():
            chunks.delete([chunk_id])
        assert list(chunks.unfinished()) == []

    def test_nothing_is_left_after_clean_and_the_store_can_be_used_again(
        self, chunks: ChunkStore, tmp_path: Path
    ) -> None:
        chunks.clean()
        chunks.put(kept(1, 2, 3))
        chunks.clean()
        assert list(chunks.unfinished()) == []
        assert list(tmp_path.rglob("*")) == []
        chunks.put(kept(1))
        assert chunks.get(1) == chunk_of(1)

    def test_a_chunk_with_something_that_is_not_plain_data_is_refused(self, tmp_path: Path) -> None:
        for name in ON_DISK:
            store = OPENERS[name](tmp_path / name)
            with pytest.raises(EncodingError, match="object"):
                store.put([Kept(Chunk(1, (), 0, (object(),)), "token")])
            assert list(store.unfinished()) == []


class TestChunkStoreOnDisk:
    @pytest.mark.parametrize("name", ON_DISK)
    def test_a_new_store_finds_what_an_earlier_one_kept(self, name: str, tmp_path: Path) -> None:
        first = OPENERS[name](tmp_path)
        first.put(kept(3, 1, 2))
        second = OPENERS[name](tmp_path)
        assert list(second.unfinished()) == [1, 2, 3]
        assert [second.get(chunk_id) for chunk_id in (1, 2, 3)] == [chunk_of(1), chunk_of(2), chunk_of(3)]

    @pytest.mark.parametrize("name", ON_DISK)
    def test_a_new_store_goes_on_where_the_earlier_one_ended(self, name: str, tmp_path: Path) -> None:
        OPENERS[name](tmp_path).put(kept(0, 1))
        second = OPENERS[name](tmp_path)
        second.put(kept(1, 2))
        second.delete([0])
        third = OPENERS[name](tmp_path)
        third.delete([0])
        assert list(third.unfinished()) == [1, 2]
        third.clean()
        assert list(tmp_path.rglob("*")) == []

    @pytest.mark.parametrize("name", ON_DISK)
    def test_another_process_finds_what_this_one_kept(self, name: str, tmp_path: Path) -> None:
        OPENERS[name](tmp_path).put(kept(0, 1))
        kind: Any = type(OPENERS[name](tmp_path))
        script = (
            f"import sys; from pathlib import Path; from {kind.__module__} import {kind.__name__} as Store\n"
            "from elastic.core.encoding import decompress, unpack\n"
            "store = Store(Path(sys.argv[1]), sys.argv[2], 0)\n"
            "print([unpack(decompress(store.get(n).payload)) for n in store.unfinished()])\n"
        )
        done = subprocess.run([sys.executable, "-c", script, tmp_path, RUN], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.strip() == str([[f"entry {n}.{m}" for m in range(3)] for n in range(2)]), done.stderr

    @pytest.mark.parametrize("name", ON_DISK)
    def test_steps_do_not_see_each_others_chunks(self, name: str, tmp_path: Path) -> None:
        kind: Any = type(OPENERS[name](tmp_path))
        first, second = kind(tmp_path, RUN, 0), kind(tmp_path, RUN, 1)
        first.put(kept(1))
        second.put(kept(2))
        first.clean()
        assert list(kind(tmp_path, RUN, 1).unfinished()) == [2]

    @pytest.mark.parametrize("name", ON_DISK)
    def test_a_store_for_reading_changes_nothing(self, name: str, tmp_path: Path) -> None:
        OPENERS[name](tmp_path).put(kept(1))
        kind: Any = type(OPENERS[name](tmp_path))
        reader = kind(tmp_path, RUN, 0, read_only=True)
        for change in (lambda: reader.put(kept(2)), lambda: reader.delete([1]), reader.clean):
            with pytest.raises(StoreError, match="opened for reading"):
                change()
        assert reader.get(1) == chunk_of(1)

    @pytest.mark.parametrize("name", ON_DISK)
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        actions=st.lists(
            st.one_of(
                st.tuples(st.just("put"), st.lists(st.integers(0, 12), max_size=4)),
                st.tuples(st.just("delete"), st.lists(st.integers(0, 12), max_size=4)),
                st.tuples(st.just("reopen"), st.just([])),
            ),
            max_size=12,
        )
    )
    def test_after_any_story_exactly_the_unfinished_are_there(
        self, name: str, tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, list[int]]]
    ) -> None:
        folder = tmp_path_factory.mktemp("story")
        store, expected, covered = OPENERS[name](folder), set[int](), set[int]()
        for action, ids in actions:
            if action == "put":
                store.put(kept(*ids))
                expected |= set(ids)
                covered -= set(ids)
            elif action == "delete":
                store.delete(ids)
                expected -= set(ids)
                covered |= set(ids)
            else:
                store.close()
                store = OPENERS[name](folder)
                store.delete(covered)
            assert list(store.unfinished()) == sorted(expected)
        assert all(store.get(chunk_id) == chunk_of(chunk_id) for chunk_id in expected)
        store.close()


# The run store

KEY = bytes(range(32))


def row_of(first: int, count: int = 2, **changes: Any) -> ReceiptRow:
    row = {
        "first": first,
        "count": count,
        "attempt": 0,
        "node_id": "node-a",
        "worker_id": "worker-1",
        "conceived_at": tuple(1_800_000_000_000_000 + n for n in range(count)),
        "entries": tuple(range(first, first + count)),
        "contents": bytes(range(16)) * count,
        "states": b"s" * 16,
        "digests": b"d" * 16 * count,
    }
    return ReceiptRow(**{**row, **changes})


def letter_of(chunk_id: int, index: int | None, **changes: Any) -> DeadLetter:
    failure = Failure(chunk_id, index, f"byte {index} of '\udcff'", "map(f)", "ValueError", "no\0", "Traceback\n" * 3)
    return replace(DeadLetter(failure, b"\xa3bad", receipt="token"), **changes)


def commit_of(low: int, *partials: bytes, **changes: Any) -> Commit:
    values = {"low": low, "bitmap": b"", "position": (0, low), "exhausted": False, "partials": partials}
    return Commit(**{**values, **changes})


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    store: RunStore = (
        MemoryRunStore(RUN, KEY) if request.param == "memory" else SqliteRunStore.create(tmp_path / RUN, RUN, KEY)
    )
    yield store
    store.close()


class TestRunStore:
    def test_a_new_run_has_its_id_its_key_epoch_one_and_no_steps(self, run: RunStore) -> None:
        assert (run.run_id, run.key, run.epoch, run.steps()) == (RUN, KEY, 1, [])

    def test_a_step_begins_in_progress_with_its_manifest(self, run: RunStore) -> None:
        manifest = {"source": {"paths": ["\udcff", "ä"]}, "size": 1 << 70, "ratio": 0.1, "none": None}
        run.begin(0, "count", manifest, 12.5)
        [record] = run.steps()
        assert (record.step, record.name, record.state, record.manifest) == (0, "count", "in_progress", manifest)
        assert (record.started_at, record.ended_at, record.error, record.low) == (12.5, None, None, 0)

    def test_a_manifest_that_is_not_json_is_refused(self, run: RunStore) -> None:
        with pytest.raises(EncodingError, match="manifest of step 3"):
            run.begin(3, "count", {"function": object()}, 0.0)
        assert run.steps() == []

    def test_tuples_of_a_manifest_become_lists_in_every_store(self, run: RunStore) -> None:
        run.begin(0, "count", {"pair": (1, 2)}, 0.0)
        assert run.steps()[0].manifest == {"pair": [1, 2]}

    def test_a_commit_is_seen_as_a_whole(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(
            0,
            commit_of(
                3,
                b"one",
                b"",
                bitmap=b"\x05",
                position=("a.txt", (1, None)),
                exhausted=True,
                counters={"entries": 9, "dropped": 2**70},
                receipts=(row_of(0),),
            ),
        )
        [record] = run.steps()
        assert (record.low, record.bitmap, record.position) == (3, b"\x05", ("a.txt", (1, None)))
        assert (record.exhausted, record.counters) == (True, {"entries": 9, "dropped": 2**70})
        assert list(run.partials(0)) == [b"one", b""]
        assert list(run.receipts(0)) == [row_of(0)]

    def test_letters_come_back_by_chunk_and_index_until_they_are_redriven(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.begin(1, "count", {}, 0.0)
        letters = [letter_of(5, 1), letter_of(5, 0), letter_of(2, None, entry=b"\x93\x01\x02\x03", entries=3)]
        run.commit(0, commit_of(1, letters=tuple(letters[:2])))
        run.commit(0, commit_of(2, letters=tuple(letters[2:])))
        run.commit(1, commit_of(1, letters=(letter_of(5, 1, attempts=9),)))
        assert list(run.letters(0)) == [letters[2], letters[1], letters[0]]
        run.commit(0, commit_of(3, b"repaired", redriven=((2, None), (5, 1)), letters=(letter_of(6, 0),)))
        assert list(run.letters(0)) == [letter_of(5, 0), letter_of(6, 0)]
        assert list(run.partials(0)) == [b"repaired"]
        assert list(run.letters(1)) == [letter_of(5, 1, attempts=9)]

    def test_a_letter_is_neither_kept_nor_redriven_twice(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1, letters=(letter_of(0, 0), letter_of(0, 1))))
        run.commit(0, commit_of(2, redriven=((0, 1),)))
        with pytest.raises(StoreError):
            run.commit(0, commit_of(3, b"again", letters=(letter_of(0, 0),)))
        assert list(run.letters(0)) == [letter_of(0, 0)]
        assert list(run.partials(0)) == []

    @pytest.mark.parametrize("key", [(0, 1), (0, 2), (0, None), (1, 0)])
    def test_what_is_no_letter_or_is_redriven_already_cannot_be_redriven(
        self, run: RunStore, key: tuple[int, int | None]
    ) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1, letters=(letter_of(0, 0), letter_of(0, 1))))
        run.commit(0, commit_of(2, redriven=((0, 1),)))
        with pytest.raises(StoreError, match="has no dead letter of"):
            run.commit(0, commit_of(3, b"again", redriven=((0, 0), key)))
        assert list(run.letters(0)) == [letter_of(0, 0)]
        assert list(run.partials(0)) == []
        assert run.steps()[0].low == 2

    def test_numbers_of_failed_entries_come_back_with_their_receipts(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        rows = (row_of(0, failed=(0, 700)), row_of(2), row_of(4, failed=(0, 0)))
        run.commit(0, commit_of(6, receipts=rows))
        assert list(run.receipts(0)) == list(rows)

    def test_the_manifests_of_all_masters_are_kept_in_order(self, run: RunStore) -> None:
        for at in range(3):
            run.begin(0, "count", {"node": f"node-{at}"}, float(at))
        [record] = run.steps()
        assert (record.manifest, record.started_at) == ({"node": "node-0"}, 0.0)
        assert record.resumed == ({"node": "node-1"}, {"node": "node-2"})

    def test_partials_come_back_in_the_order_of_their_commits(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.begin(1, "sort", {}, 0.0)
        for n in range(5):
            run.commit(0, commit_of(n, b"a%d" % n, b"b%d" % n))
            run.commit(1, commit_of(n, b"other"))
        assert list(run.partials(0)) == [b"%c%d" % (letter, n) for n in range(5) for letter in b"ab"]

    def test_receipts_come_back_by_chunk_whatever_order_they_came_in(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.begin(1, "count", {}, 0.0)
        rows = [row_of(6), row_of(2, worker_id="worker-2"), row_of(8, 1, attempt=3), row_of(0)]
        run.commit(0, commit_of(0, receipts=tuple(rows[:2])))
        run.commit(0, commit_of(0, receipts=tuple(rows[2:])))
        run.commit(1, commit_of(0, receipts=(row_of(0, node_id="other"),)))
        assert list(run.receipts(0)) == sorted(rows, key=lambda row: row.first)

    def test_what_is_known_about_a_step_stays_when_it_begins_again(self, run: RunStore) -> None:
        run.begin(0, "count", {"a": 1}, 5.0)
        run.commit(0, commit_of(3, b"state", counters={"n": 1}))
        run.end(0, "failed", 9.0, "it broke.")
        run.begin(0, "count", {"a": 2}, 20.0)
        [record] = run.steps()
        assert (record.state, record.ended_at, record.error) == ("in_progress", None, None)
        assert (record.low, record.counters, record.manifest, record.started_at) == (3, {"n": 1}, {"a": 1}, 5.0)
        assert list(run.partials(0)) == [b"state"]

    def test_the_end_of_a_step_is_kept_beside_its_progress(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 1.0)
        run.commit(0, commit_of(4))
        run.end(0, "completed", 2.5)
        run.begin(1, "sort", {}, 3.0)
        run.end(1, "failed", 4.0, "entry 3: no")
        first, second = run.steps()
        assert (first.state, first.low, first.ended_at, first.error) == ("completed", 4, 2.5, None)
        assert (second.state, second.ended_at, second.error) == ("failed", 4.0, "entry 3: no")

    def test_text_that_no_database_takes_is_kept_readable(self, run: RunStore) -> None:
        run.begin(0, "count \udcff", {}, 0.0)
        run.end(0, "failed", 1.0, "no file 'b\udcff\0ä'")
        [record] = run.steps()
        assert (record.name, record.error) == ("count \\udcff", "no file 'b\\udcff\0ä'")

    def test_steps_come_in_order(self, run: RunStore) -> None:
        for step in (2, 0, 1):
            run.begin(step, f"step {step}", {}, 0.0)
        assert [record.step for record in run.steps()] == [0, 1, 2]

    def test_a_step_that_never_began_is_named(self, run: RunStore) -> None:
        for ask in (
            lambda: run.commit(7, commit_of(0)),
            lambda: run.end(7, "failed", 1.0),
            lambda: list(run.partials(7)),
            lambda: list(run.receipts(7)),
            lambda: list(run.letters(7)),
        ):
            with pytest.raises(StoreError, match="no step 7"):
                ask()
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1))

    def test_a_batch_is_not_committed_twice(self, run: RunStore) -> None:
        run.begin(0, "count", {}, 0.0)
        run.commit(0, commit_of(1, b"once", receipts=(row_of(0),)))
        with pytest.raises(StoreError):
            run.commit(0, commit_of(2, b"twice", receipts=(row_of(0),)))
        assert list(run.partials(0)) == [b"once"]
        assert run.steps()[0].low == 1

    def test_the_chunks_of_a_step_are_always_the_same_store(self, run: RunStore) -> None:
        run.chunks(0).put(kept(1))
        run.chunks(1).put(kept(2))
        run.chunks(0).delete([1])
        assert list(run.chunks(0).unfinished()) == []
        assert list(run.chunks(1).unfinished()) == [2]
