"""The intake: chunks that are cut, and on the disk where the source cannot yield them again."""

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

#: Seconds between two tries to keep chunks on a disk that is full.
_RETRY_SECONDS = 0.25


class ChunkAdmission:
    """Takes chunks from a chunker and keeps them before anybody may send them.

    While the disk is full it takes nothing more: what is in flight comes back, is committed and deleted, and makes
    room. What was cut and could not be kept waits here, and counts as not cut.

    Args:
        chunker: Where chunks come from.
        kept: Where they are kept; None when the source can be cut again.
        clock: Tells when to try again.
        settings: How much to cut at once, and how long to wait for room when nothing is left that could make some.
        token: Returns what names a chunk on the disk.
    """

    def __init__(
        self,
        chunker: Chunker,
        kept: ChunkStore | None,
        *,
        clock: Clock,
        settings: EngineTuning,
        token: Callable[[Chunk], str],
    ) -> None:
        self._chunker, self._kept, self._clock, self._token = chunker, kept, clock, token
        self._settings = settings
        self._waiting: list[Chunk] = []
        self._ended = False
        #: monotonic seconds of the next try, and of the last moment when room could still be hoped for
        self._again_at, self._hoped_at = 0.0, 0.0
        self._is_told = False
        self._advance()

    def _advance(self) -> None:
        chunker = self._chunker
        #: how far the source was read, as a commit may say it: `(chunk id, position)`, whether that is its end, and
        #: the number of chunks
        self.reached: Position | None = chunker.reached
        self.exhausted, self.chunks = chunker.exhausted, chunker.chunks

    def cut(self, count: int, folded: ChunkIdSet, *, idle: bool) -> tuple[list[Chunk], bool]:
        """Return about `count` more chunks that may be sent, and whether the source is exhausted; none on a full disk.

        Args:
            count: How many are wanted.
            folded: Chunks that are in the result, which nobody needs to keep.
            idle: Nothing is in flight and nothing is to be committed, so no room will come from that.

        Raises:
            StoreFullError: The disk stayed full.
            SourceError, EncodingError, StoreError: As for `Chunker.cut` and `ChunkStore.put`.
        """
        if not self._waiting:
            self._waiting, self._ended = self._chunker.cut(count, self._settings.max_bytes_per_call)
        elif self._clock.monotonic() < self._again_at:
            return [], False
        if self._kept is None:
            kept = wanted = self._waiting
        else:
            wanted = folded.without(self._waiting)
            kept = self._keep(wanted, self._kept, idle=idle)
        if len(kept) < len(wanted):
            return self._take(kept), False
        chunks, self._waiting = self._waiting, []
        self._advance()
        return chunks, self._ended

    def _take(self, kept: list[Chunk]) -> list[Chunk]:
        """Return what waits up to the last of the chunks that found room."""
        if not kept:
            return []
        last = kept[-1]
        count = last.chunk_id + 1 - self._waiting[0].chunk_id
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self.reached, self.chunks = (last.chunk_id, last.position), max(self.chunks, last.chunk_id + 1)
        return taken

    def committed(self, rows: tuple[ReceiptRow, ...]) -> None:
        """Delete the chunks that a commit covers."""
        if self._kept is not None:
            self._kept.delete(chunk for row in rows for chunk in range(row.first, row.stop))

    def clean(self) -> None:
        """Forget everything that was kept; called when all of it is in the result."""
        if self._kept is not None:
            self._kept.clean()

    def close(self) -> None:
        """Give back what was cut and could not be kept, so that the same source can go on in this process."""
        if self._kept is not None and self._waiting:
            self._chunker.give_back(self._waiting)
            self._waiting = []

    def _keep(self, wanted: list[Chunk], store: ChunkStore, *, idle: bool) -> list[Chunk]:
        """Keep as many chunks as there is room for; returns them."""
        count, full = len(wanted), None
        while count:
            try:
                store.put([StoredChunk(chunk, self._token(chunk)) for chunk in wanted[:count]])
                break
            except StoreFullError as error:
                full, count = error, count // 2
        if full is None:
            self._again_at = 0.0
        else:
            self._wait(full, idle=idle and not count)
        return wanted[:count]

    def _wait(self, full: StoreFullError, *, idle: bool) -> None:
        now = self._clock.monotonic()
        if not self._is_told:
            self._is_told = True
            _log.warning("the disk is full, so nothing more is read until there is room: %s", full)
        if not idle or not self._again_at:
            self._hoped_at = now
        elif now - self._hoped_at > self._settings.disk_full_timeout:
            raise full
        self._again_at = now + _RETRY_SECONDS
