"""Contract of all chunk stores, including those of users."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.encoding import compress, digest, pack
from elastic.core.errors import EncodingError, StoreError
from elastic.core.model.chunk import Chunk
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.registry import make_chunk_store
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.run_store.memory_store import MemoryChunkStore

ROOT = Path(__file__).parents[2]
RUN = "20261120-231512-4f9a2c1b7d3e"
OWN = f"{Path(__file__).with_name('own_chunk_store.py')}:OwnChunkStore"
Opener = Callable[[Path], ChunkStore]

OPENERS: dict[str, Opener] = {
    "memory": lambda folder: MemoryChunkStore(),
    "segment": lambda folder: SegmentChunkStore(folder, RUN, 0),
    "small-segments": lambda folder: SegmentChunkStore(folder, RUN, 0, segment_bytes=300),
    "directory": lambda folder: DirectoryChunkStore(folder, RUN, 0),
    # A run creates the user's class in this way.
    "own": lambda folder: make_chunk_store(OWN, (folder, RUN, 0), read_only=False, reserve=None),
}
ON_DISK = sorted(OPENERS.keys() - {"memory"})


def chunk_of(chunk_id: int, entries: int = 3) -> Chunk:
    plain = pack([f"entry {chunk_id}.{n}" for n in range(entries)])
    return Chunk(
        chunk_id, (0, chunk_id * 3), 1_800_000_000_000_000, (chunk_id * 3, 3), compress(plain), 3, digest(plain)
    )


def kept(*chunk_ids: int) -> list[StoredChunk]:
    return [StoredChunk(chunk_of(chunk_id), f"token-{chunk_id}") for chunk_id in chunk_ids]


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
        chunks.put([StoredChunk(wide, "wide"), StoredChunk(without, "without")])
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
                store.put([StoredChunk(Chunk(1, (), 0, (object(),)), "token")])
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

    @pytest.mark.parametrize("name", sorted(set(ON_DISK) - {"own"}))
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
