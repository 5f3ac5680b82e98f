"""Chunk admission: cuts chunks, and stores those of a one-shot source before the master may send them."""

import logging
from collections.abc import Callable

from elastic.core.clock import Clock
from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.errors import StoreFullError
from elastic.core.model.chunk import Chunk, Position
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.engine.chunker import Chunker

_log = logging.getLogger("elastic.master")

#: Seconds between attempts to store chunks on a full disk.
_RETRY_INTERVAL = 0.25


class ChunkAdmission:
    """Gate between the chunker and the ledger: it stores chunks before the master may send them.

    While the disk is full, it admits no chunks: those in flight return, are committed and deleted, and free space.
    Chunks that were cut but not stored wait here, and count as not cut.

    Args:
        chunker: Cuts the chunks.
        store: Stores the chunks; None for a source that can be cut again.
        clock: Clock for the retries.
        tuning: Maximum bytes to cut at once, and the timeout for a full disk.
        token: Returns the token that names a chunk in the store.
    """

    def __init__(
        self,
        chunker: Chunker,
        store: ChunkStore | None,
        *,
        clock: Clock,
        tuning: EngineTuning,
        token: Callable[[Chunk], str],
    ) -> None:
        self._chunker, self._store, self._clock, self._token = chunker, store, clock, token
        self._tuning = tuning
        self._waiting: list[Chunk] = []
        self._ended = False
        #: monotonic seconds of the next attempt, and of the last moment when chunks in flight could still free space
        self._retry_at, self._waited_since = 0.0, 0.0
        self._has_warned = False
        self._advance()

    def _advance(self) -> None:
        chunker = self._chunker
        #: progress in the source for a commit: `(chunk id, position)`, whether that is the end, and the number of
        #: chunks
        self.reached: Position | None = chunker.reached
        self.exhausted, self.chunks = chunker.exhausted, chunker.chunks

    def cut(self, count: int, folded: ChunkIdSet, *, idle: bool) -> tuple[list[Chunk], bool]:
        """Return about `count` more chunks to send, and whether the source is exhausted; no chunks on a full disk.

        Args:
            count: Wanted number of chunks.
            folded: Chunks that are in the result, and need no storing.
            idle: True if no chunk is in flight or uncommitted, so that no commit can free space.

        Raises:
            StoreFullError: The disk stayed full for `disk_full_timeout`.
            SourceError, EncodingError, StoreError: As for `Chunker.cut` and `ChunkStore.put`.
        """
        if not self._waiting:
            self._waiting, self._ended = self._chunker.cut(count, self._tuning.max_bytes_per_call)
        elif self._clock.monotonic() < self._retry_at:
            return [], False
        if self._store is None:
            stored = wanted = self._waiting
        else:
            wanted = folded.without(self._waiting)
            stored = self._put(wanted, self._store, idle=idle)
        if len(stored) < len(wanted):
            return self._take(stored), False
        chunks, self._waiting = self._waiting, []
        self._advance()
        return chunks, self._ended

    def _take(self, stored: list[Chunk]) -> list[Chunk]:
        """Return the waiting chunks up to the last one that was stored."""
        if not stored:
            return []
        last = stored[-1]
        count = last.chunk_id + 1 - self._waiting[0].chunk_id
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self.reached, self.chunks = (last.chunk_id, last.position), max(self.chunks, last.chunk_id + 1)
        return taken

    def committed(self, rows: tuple[ReceiptRow, ...]) -> None:
        """Delete the stored chunks that a commit covers."""
        if self._store is not None:
            self._store.delete(chunk for row in rows for chunk in range(row.first, row.stop))

    def clean(self) -> None:
        """Delete all stored chunks; the master calls this when all are in the result."""
        if self._store is not None:
            self._store.clean()

    def close(self) -> None:
        """Return chunks that could not be stored to the source, so that it can continue in this process."""
        if self._store is not None and self._waiting:
            self._chunker.give_back(self._waiting)
            self._waiting = []

    def _put(self, wanted: list[Chunk], store: ChunkStore, *, idle: bool) -> list[Chunk]:
        """Store as many chunks as fit on the disk; return them."""
        count, full = len(wanted), None
        while count:
            try:
                store.put([StoredChunk(chunk, self._token(chunk)) for chunk in wanted[:count]])
                break
            except StoreFullError as error:
                full, count = error, count // 2
        if full is None:
            self._retry_at = 0.0
        else:
            self._wait(full, idle=idle and not count)
        return wanted[:count]

    def _wait(self, full: StoreFullError, *, idle: bool) -> None:
        now = self._clock.monotonic()
        if not self._has_warned:
            self._has_warned = True
            _log.warning("the disk is full, so the source is not read until there is space: %s", full)
        if not idle or not self._retry_at:
            self._waited_since = now
        elif now - self._waited_since > self._tuning.disk_full_timeout:
            raise full
        self._retry_at = now + _RETRY_INTERVAL
