"""Chunks, commits and child processes for the tests of this folder."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from elastic.core.contracts.store import Commit, StoredChunk
from elastic.core.encoding import compress, digest, pack
from elastic.core.model.chunk import Chunk
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.sqlite_store import SqliteRunStore

ROOT = Path(__file__).parents[2]
RUN = "20261120-231512-4f9a2c1b7d3e"
OTHER_RUN = "20261120-231513-000000000000"
KEY = bytes(range(32))


def chunk_of(chunk_id: int, size: int = 10) -> Chunk:
    plain = pack([chunk_id.to_bytes(4, "big") * (size // 4)])
    return Chunk(chunk_id, (0, chunk_id), 1_800_000_000_000_000, (chunk_id, 1), compress(plain), 1, digest(plain))


def kept(*chunk_ids: int) -> list[StoredChunk]:
    return [StoredChunk(chunk_of(chunk_id), f"token-{chunk_id}") for chunk_id in chunk_ids]


def row_of(first: int, count: int = 1) -> ReceiptRow:
    numbers = tuple(range(first, first + count))
    return ReceiptRow(
        ChunkColumns(first, 0, numbers, numbers, bytes(16 * count)), "node", "worker", bytes(16), bytes(16)
    )


def letter_of(chunk_id: int, index: int | None) -> DeadLetter:
    return DeadLetter(Failure(chunk_id, index, "line 3", "map(f)", "ValueError", "bad"), b"\x07")


def commit_of(low: int, *partials: bytes, **changes: Any) -> Commit:
    values = {"low": low, "bitmap": b"", "position": (low,), "exhausted": False, "partials": partials}
    return Commit(**{**values, **changes})


def make_run(folder: Path) -> Path:
    """Create a closed run with two commits, and return its folder."""
    store = SqliteRunStore.create(folder / RUN, RUN, KEY)
    store.begin(0, "count", {"a": 1}, 1.0)
    store.commit(0, commit_of(1, b"first", receipts=(row_of(0),), counters={"n": 1}))
    more = {"receipts": (row_of(1, 2),), "dead_letters": (letter_of(1, 0), letter_of(1, 1), letter_of(2, None))}
    store.commit(0, commit_of(3, b"second", b"third", bitmap=b"\x05", counters={"n": 3}, **more))
    store.begin(0, "count", {"a": 2}, 2.0)
    store.commit(0, commit_of(3, bitmap=b"\x05", counters={"n": 3}, redriven=((1, 1),)))
    store.close()
    return folder / RUN


def everything(store: SqliteRunStore) -> tuple[object, ...]:
    return (
        store.run_id,
        store.key,
        store.steps(),
        list(store.partials(0)),
        list(store.receipts(0)),
        list(store.dead_letters(0)),
    )


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def start(script: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start a child that the test controls by standard input and output."""
    return subprocess.Popen(
        python(script, *arguments), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def finish(command: list[str]) -> list[str]:
    """Run a child to its end and return the lines that it printed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
