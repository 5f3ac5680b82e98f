"""Stored chunks of a one-shot source: those that run again, and those that were never sent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import elastic
from elastic.core.contracts.store import Commit, RunStore, StoredChunk
from elastic.core.encoding import compress, digest, pack
from elastic.core.errors import CorruptStoreError
from elastic.core.model.chunk import Chunk
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.memory_store import MemoryRunStore
from elastic.recovery.stored_chunks import StoredChunks


def content(chunk_id: int) -> bytes:
    return digest(pack([chunk_id]))


def store_of(*, low: int, bitmap: bytes, cut: int, kept: tuple[int, ...], position: int) -> RunStore:
    """Return a store whose chunks have one entry each, their number."""
    store = MemoryRunStore("20261120-231512-4f9a2c1b7d3e", bytes(32))
    store.begin(0, "step", {}, 0.0)
    chunks = [
        Chunk(n, (n, n, None), 0, (n, 1), compress(pack([n])), 1, content(n)) for n in kept
    ]  # fmt: skip
    store.chunks(0).put([StoredChunk(chunk, f"token-{chunk.chunk_id}") for chunk in chunks])
    folded = [*range(low), *(low + bit for bit in range(8 * len(bitmap)) if bitmap[bit // 8] >> bit % 8 & 1)]
    rows = tuple(
        ReceiptRow(ChunkColumns(n, 1, (0,), (1,), content(n)), "node", "worker", bytes(16), bytes(16)) for n in folded
    )  # fmt: skip
    where = (position, (position, position, None))
    store.commit(0, Commit(low, bitmap, where, exhausted=False, receipts=rows, counters={"cut": cut}))
    return store


def remains_of(store: RunStore) -> StoredChunks:
    return StoredChunks.of(store, store.steps()[0])


def test_chunks_that_are_in_the_result_are_forgotten_and_the_others_are_kept() -> None:
    store = store_of(low=3, bitmap=b"\x02", cut=7, kept=(1, 2, 3, 4, 5, 6), position=3)
    remains = remains_of(store)
    assert (remains.stored, remains.stop) == ((3, 5, 6), 7)
    assert list(store.chunks(0).unfinished()) == [3, 5, 6]


def test_chunks_that_were_kept_after_the_last_commit_run_as_well() -> None:
    remains = remains_of(store_of(low=3, bitmap=b"", cut=4, kept=(3, 4, 5), position=3))
    assert (remains.stored, remains.stop, remains.last_known()) == ((3, 4, 5), 6, (5, (5, 5, None)))


def test_what_lies_behind_a_gap_was_never_sent_and_makes_room_for_what_the_source_yields_there() -> None:
    store = store_of(low=3, bitmap=b"", cut=4, kept=(3, 4, 6), position=3)
    remains = remains_of(store)
    assert (remains.stored, remains.stop) == ((3, 4), 5)
    assert list(store.chunks(0).unfinished()) == [3, 4]


@pytest.mark.parametrize(("kept", "missing"), [((4, 5), 3), ((3, 5), 4), ((3, 4), 5), ((), 3)])
def test_a_chunk_that_was_cut_before_the_last_commit_must_be_somewhere(kept: tuple[int, ...], missing: int) -> None:
    with pytest.raises(CorruptStoreError, match=f"chunk {missing} was cut and is neither in the result nor"):
        remains_of(store_of(low=3, bitmap=b"", cut=6, kept=kept, position=3))


def test_without_a_kept_chunk_the_position_is_that_of_the_last_one_that_was_cut() -> None:
    remains = remains_of(store_of(low=6, bitmap=b"", cut=6, kept=(), position=5))
    assert (remains.stored, remains.stop, remains.last_known()) == ((), 6, (5, (5, 5, None)))


def test_contents_come_from_receipts_and_from_kept_chunks() -> None:
    remains = remains_of(store_of(low=3, bitmap=b"\x02", cut=6, kept=(3, 5, 6), position=3))
    assert list(remains.contents(0)) == [content(n) for n in range(7)]
    assert list(remains.contents(4)) == [content(n) for n in range(4, 7)]


OWN_STORE = """
import os
import sys
import elastic

sys.path.insert(0, {folder!r})
from own_chunk_store import OwnChunkStore

class ShoutingStore(OwnChunkStore):
    def put(self, kept):
        print("put", len(kept), file=sys.stderr)
        super().put(kept)

def fragile(number):
    if number == 77 and os.environ.get("BROKEN"):
        raise ValueError("bad")
    return number

flow = elastic.from_iterable(iter(range(100)), chunk_size=10).map(fragile).aggregate("sum")
flow = flow.options(cluster="inline", chunk_store={store})
"""


@pytest.mark.parametrize("given", ["ShoutingStore", "__file__ + ':ShoutingStore'"])
def test_a_store_of_the_user_keeps_chunks_and_another_process_finds_it_again(
    given: str, home: Path, tmp_path: Path
) -> None:
    script = tmp_path / "own.py"
    folder = Path(__file__).parents[1] / "contract"
    script.write_text(OWN_STORE.format(folder=str(folder), store=given))
    command = [sys.executable, "-m", "elastic"]
    broken = subprocess.run(
        [*command, "flow", "run", f"{script}:flow"],
        env={**os.environ, "BROKEN": "yes"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert broken.returncode == 1
    assert "put 4" in broken.stderr
    [run] = (home / "runs").iterdir()
    assert len(list((run / "own" / "0").iterdir())) > 0
    assert not (run / "chunks").exists()
    done = subprocess.run([*command, "resume", "last"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "value  4950" in done.stdout
    assert not (run / "own").exists()
    assert elastic.verify("last").ok
