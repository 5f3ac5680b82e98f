"""Stores in memory, for runs in one process that need no resume."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from elastic.core.contracts.store import ChunkStore, Commit, RunStore, StepRecord, StoredChunk
from elastic.core.errors import StoreError
from elastic.core.model.chunk import Chunk
from elastic.core.model.chunk_location import InFlightNote
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.text import writable
from elastic.persistence.run_store.dead_letter_table import DeadLetterKey, not_open, place_of
from elastic.persistence.run_store.json_text import read_json, write_json


class MemoryChunkStore(ChunkStore):
    """Chunk store in a dict."""

    def __init__(self) -> None:
        self._chunks: dict[int, Chunk] = {}

    def put(self, kept: Sequence[StoredChunk]) -> None:
        for stored in kept:
            self._chunks.setdefault(stored.chunk.chunk_id, stored.chunk)

    def get(self, chunk_id: int) -> Chunk:
        if chunk_id not in self._chunks:
            raise LookupError(f"chunk {chunk_id} is not stored")
        return self._chunks[chunk_id]

    def delete(self, chunk_ids: Iterable[int]) -> None:
        for chunk_id in chunk_ids:
            self._chunks.pop(chunk_id, None)

    def unfinished(self) -> Iterator[int]:
        return iter(sorted(self._chunks))


class MemoryRunStore(RunStore):
    """Run store in the memory of one process; its epoch is always 1."""

    is_durable = False

    def __init__(self, run_id: str, key: bytes) -> None:
        self.run_id = run_id
        self.key = key
        self.epoch = 1
        self._steps: dict[int, StepRecord] = {}
        self._partials: dict[int, list[bytes]] = defaultdict(list)
        self._receipts: dict[int, dict[int, ReceiptRow]] = defaultdict(dict)
        #: by step, then by chunk id and index; None for a redriven dead letter
        self._dead_letters: dict[int, dict[DeadLetterKey, DeadLetter | None]] = defaultdict(dict)
        self._chunks: dict[int, MemoryChunkStore] = defaultdict(MemoryChunkStore)
        self._notes: dict[int, InFlightNote] = {}

    def begin(self, step: int, name: str, manifest: dict[str, Any], started_at: float) -> None:
        plain = read_json(write_json(manifest, f"the manifest of step {step}"))
        known = self._steps.get(step)
        self._steps[step] = (
            StepRecord(step, writable(name), "in_progress", plain, started_at=started_at)
            if known is None
            else replace(known, state="in_progress", ended_at=None, error=None, resumed=(*known.resumed, plain))
        )

    def commit(self, step: int, commit: Commit) -> None:
        record = self._known(step)
        firsts = [row.first for row in commit.receipts]
        if len(set(firsts)) < len(firsts) or not self._receipts[step].keys().isdisjoint(firsts):
            raise StoreError(f"run {self.run_id}, step {step}: a batch must not be committed twice.")
        dead_letters = self._changed_dead_letters(step, commit)
        self._steps[step] = replace(
            record,
            low=commit.low,
            bitmap=commit.bitmap,
            position=commit.position,
            exhausted=commit.exhausted,
            counters=dict(commit.counters),
        )
        self._partials[step].extend(commit.partials)
        self._receipts[step].update((row.first, row) for row in commit.receipts)
        self._dead_letters[step] = dead_letters

    def end(self, step: int, state: str, ended_at: float, error: str | None = None) -> None:
        error = None if error is None else writable(error)
        self._steps[step] = replace(self._known(step), state=state, ended_at=ended_at, error=error)

    def steps(self) -> list[StepRecord]:
        return [copy.deepcopy(self._steps[step]) for step in sorted(self._steps)]

    def partials(self, step: int) -> Iterator[bytes]:
        return iter(tuple(self._partials[self._known(step).step]))

    def receipts(self, step: int) -> Iterator[ReceiptRow]:
        rows = self._receipts[self._known(step).step]
        return iter([rows[first] for first in sorted(rows)])

    def dead_letters(self, step: int) -> Iterator[DeadLetter]:
        found = self._dead_letters[self._known(step).step].values()
        return iter(sorted((dead_letter for dead_letter in found if dead_letter is not None), key=place_of))

    def note(self, step: int, note: InFlightNote | None) -> None:
        if note is None:
            self._notes.pop(step, None)
        else:
            self._notes[step] = note

    def noted(self, step: int) -> InFlightNote | None:
        return self._notes.get(step)

    def chunks(self, step: int) -> MemoryChunkStore:
        return self._chunks[step]

    def _changed_dead_letters(self, step: int, commit: Commit) -> dict[DeadLetterKey, DeadLetter | None]:
        dead_letters = dict(self._dead_letters[step])
        for dead_letter in commit.dead_letters:
            key = (dead_letter.failure.chunk_id, dead_letter.failure.index)
            if key in dead_letters:
                raise StoreError(f"run {self.run_id}, step {step}: a dead letter must not be committed twice.")
            dead_letters[key] = dead_letter
        for key in commit.redriven:
            if dead_letters.get(key) is None:
                raise not_open(self.run_id, step, key)
            dead_letters[key] = None
        return dead_letters

    def _known(self, step: int) -> StepRecord:
        if step not in self._steps:
            raise StoreError(f"run {self.run_id} has no step {step}; begin it first.")
        return self._steps[step]
