"""Stored runs with valid receipts, made without running anything."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elastic.core.contracts.store import Commit, StepRecord
from elastic.core.encoding import pack
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.failure import DeadLetter, Failure
from elastic.core.model.live_view import LiveSpan, LiveView
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.receipt import NO_LINK, ReceiptSigner
from elastic.core.receipts.receipt_chain import chain
from elastic.persistence.home import Home
from elastic.persistence.run_store.inspection import RunReader
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from elastic.run_actions import ACTIONS

RUN = "20261120-231512-4f9a2c1b7d3e"
OTHER_RUN = "20261120-231513-000000000000"
ACTION = "20261130T120000-verify-abcdef"
KEY = bytes(range(32))
MASTER = "node-1"
#: seconds since 1970 when the runs of this module began
BEGAN = 1_795_000_000.0

#: Texts that break pages: markup, quotes, NUL, surrogates, controls, the other writing direction, and very long ones.
HOSTILE_TEXTS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'`",
    "{{ 7 * 7 }}{% raw %}",
    "\0\x1b[31m\udcff\ud800",
    "\u202eevil\u2028\u2029",
    "&amp;<!--",
    "x" * 100_000,
    "",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a stored run has."""

    chunks: int = 10
    batch: int = 4
    entries: int = 3
    #: failed entries by chunk
    failed: dict[int, int] | None = None
    #: chunks of batches that were sent twice
    resent: tuple[int, ...] = ()
    letters: Sequence[DeadLetter] = ()
    redriven: tuple[tuple[int, int | None], ...] = ()
    state: str = "complete"
    name: str = "prices"
    error: str | None = None
    workers: tuple[str, ...] = ("node-1/0", "node-2/0")
    manifest: dict[str, Any] | None = None
    counters: dict[str, int] | None = None


def letter_of(chunk_id: int, index: int | None = 0, **changes: Any) -> DeadLetter:
    """Return a dead letter; `entry` is any plain data, and other changes are fields of its failure."""
    entry = changes.pop("entry", "30 EUR")
    exact = changes.pop("exact", True)
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "/home/ada/flows/prices.py", line 14, in to_cents\n'
        "    return int(price) * 100\n"
        "ValueError: invalid literal for int() with base 10: '30 EUR'\n"
    )
    failure = Failure(
        chunk_id=chunk_id,
        index=index,
        place=f"line {chunk_id + 1} of prices.csv",
        function="map(to_cents)",
        error_type="ValueError",
        message="invalid literal for int() with base 10: '30 EUR'",
        traceback=traceback,
        node_id="node-1",
        worker_id="node-1/0",
    )
    return DeadLetter(replace(failure, **changes), pack(entry), exact=exact, receipt="token")


def make_run(home: Path, sample: Sample | None = None, run_id: str = RUN, *, began: float = BEGAN) -> Path:
    """Store a run with one step, and return its folder."""
    sample = sample or Sample()
    folder = home / "runs" / run_id
    store = SqliteRunStore.create(folder, run_id, KEY)
    try:
        manifest = {"node": MASTER, "source": {"kind": "range"}, "on_error": "dead-letter", **(sample.manifest or {})}
        store.begin(0, sample.name, manifest, began)
        rows = tuple(
            row_of(sample, first, run_id, number) for number, first in enumerate(range(0, sample.chunks, sample.batch))
        )
        failed = sum((sample.failed or {}).values())
        stages = ("distributed", "sent", "received", "processed", "returned", "aggregated", "cut")
        counters = {
            "entries": sample.chunks * sample.entries - failed,
            "entries_failed": failed,
            "chunks_sent_again": len(sample.resent),
            **dict.fromkeys(stages, sample.chunks),
            **(sample.counters or {}),
        }
        is_complete = sample.state.startswith("complete")
        commit = Commit(
            low=sample.chunks,
            bitmap=b"",
            position=(sample.chunks,),
            exhausted=is_complete,
            receipts=rows,
            dead_letters=tuple(sample.letters),
            counters=counters,
        )
        store.commit(0, commit)
        if sample.redriven:
            store.commit(0, replace(commit, receipts=(), dead_letters=(), redriven=sample.redriven))
        if sample.state != "in_progress":
            store.end(0, sample.state, began + 8, sample.error)
    finally:
        store.close()
    return folder


def row_of(sample: Sample, first: int, run_id: str, number: int) -> ReceiptRow:
    """Return a row of receipts that follows from the key of the samples."""
    stop = min(first + sample.batch, sample.chunks)
    count = stop - first
    columns = ChunkColumns(
        first,
        2 if any(first <= chunk_id < stop for chunk_id in sample.resent) else 1,
        tuple(int(BEGAN * 1e6) + 1000 * chunk_id for chunk_id in range(first, stop)),
        (sample.entries,) * count,
        b"".join(chunk_id.to_bytes(16, "big") for chunk_id in range(first, stop)),
    )
    failed = sample.failed or {}
    failures = tuple(failed.get(chunk_id, 0) for chunk_id in range(first, stop))
    worker = sample.workers[number % len(sample.workers)]
    row = ReceiptRow(columns, worker.partition("/")[0], worker, b"s" * 16, NO_LINK, failures if any(failures) else ())
    signer = ReceiptSigner(key=KEY, run_id=run_id, step=0)
    return replace(row, link=chain(signer, row, MASTER, counted=True)[-1].digest)


def live_of(*spans: LiveSpan, cut: int = 0, expected: int | None = None) -> LiveView:
    """Return a live view that a master made when the runs began."""
    return LiveView(
        noted_at=BEGAN,
        expected_chunks=expected,
        cut_chunks=cut,
        spans=spans,
        omitted_spans=0,
        workers=("node-1/0",),
        counters={},
        chunks_per_second=0.0,
        entries_per_second=0.0,
    )


def store_action(folder: Path, *, log: bytes = b"", output: bytes = b"", **facts: Any) -> Path:
    """Store an action on a run that has ended, without its process; return the path of its facts."""
    times = {"started_at": "2026-11-30T12:00:00+00:00", "ended_at": "2026-11-30T12:00:01+00:00"}
    path = folder / ACTIONS / f"{ACTION}.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"kind": "verify", "step": 0, "owner": "ada", "exit_code": 0, **times, **facts}))
    for ending, data in ((".lock", b""), (".log", log), (".out", output)):
        path.with_suffix(ending).write_bytes(data)
    return path


def opened(folder: Path) -> tuple[RunReader, StepRecord]:
    """Return a reader of a run and the record of its first step; the caller closes the reader."""
    reader = RunReader.read(folder)
    return reader, reader.record(0)


def home_of(folder: Path) -> Home:
    """Return the home of a run folder."""
    return Home(folder.parent.parent)


def damage(folder: Path, statement: str, *values: Any) -> None:
    """Change the file of a run as only damage or an attacker would."""
    connection = sqlite3.connect(folder / "run.sqlite")
    try:
        connection.execute(statement, values)
        connection.commit()
    finally:
        connection.close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the file of a run as a long commit of its master would."""
    connection = sqlite3.connect(folder / "run.sqlite", isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


def changed(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Replace the content of a file by what a function makes of it."""
    path.write_bytes(change(path.read_bytes()))
