"""Replay of stored chunks: those that an earlier master left on disk, then the rest of the one-shot source."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from elastic.core.clock import Clock
from elastic.core.contracts.source import Source
from elastic.core.contracts.store import ChunkStore, RunStore, StepRecord
from elastic.core.encoding import compress
from elastic.core.errors import CorruptStoreError, SourceError
from elastic.core.model.chunk import UNCOUNTED, UNREAD, Chunk, Position
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.engine.chunker import Chunker, Projection

#: Number of chunks that are read and skipped at a time.
_SKIP_BATCH = 64


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """Inventory of the stored chunks of a step with a one-shot source."""

    store: RunStore
    record: StepRecord
    folded: ChunkIdSet
    #: all chunks of `[folded.low, stop)` are folded or stored; the source yields chunk `stop` next
    stop: int
    #: ids of the stored chunks
    stored: tuple[int, ...]

    @classmethod
    def of(cls, store: RunStore, record: StepRecord) -> "StoredChunks":
        """Return the inventory of a step, and delete stored chunks that it does not need.

        Raises:
            CorruptStoreError: A chunk is neither in the result nor stored; the message names it.
        """
        folded, chunks = ChunkIdSet.of(record.low, record.bitmap), store.chunks(record.step)
        on_disk = list(chunks.unfinished())
        present = {chunk_id for chunk_id in on_disk if chunk_id not in folded}
        cut = max(record.counters.get("cut", 0), folded.low)
        lost = [n for n in range(folded.low, cut) if n not in present and n not in folded]
        if lost:
            raise CorruptStoreError(
                f"run {store.run_id}, step {record.step}: chunk {lost[0]} was cut and is neither in the result nor "
                f"stored ({len(lost)} such chunks); restore the folder `chunks` of the run, or start a new run."
            )
        stop = cut
        while stop in present:
            stop += 1
        # Chunks after a gap were being written when the process ended, and were not sent.
        stored = tuple(sorted(chunk_id for chunk_id in present if chunk_id < stop))
        chunks.delete(set(on_disk).difference(stored))
        return cls(store, record, folded, stop, stored)

    @property
    def chunks(self) -> ChunkStore:
        return self.store.chunks(self.record.step)

    def last_known(self) -> Position:
        """Return `(chunk id, source position)` of the last chunk whose position is known."""
        known = self.record.position or (0, None)
        if self.stored and self.stored[-1] >= known[0]:
            return self.stored[-1], self.chunks.get(self.stored[-1]).position
        return known

    def position_after_last(self, source: Source) -> Position | None:
        """Return `(chunk id, source position)` of the chunk after the last one; None if the source does not know it."""
        number, position = self.last_known()
        if position is None or number != self.stop - 1:
            return None
        if number in self.folded:
            rows = self.store.receipts(self.record.step)
            row = next((row for row in rows if row.first <= number < row.stop), None)
            entries = -1 if row is None else row.columns.entries[number - row.first]
        else:
            entries = self.chunks.get(number).entries
        after = source.position_after(position, entries) if entries >= 0 else None
        return None if after is None else (self.stop, after)

    def contents(self, first: int) -> Iterator[bytes]:
        """Yield the digests of the chunks `[first, stop)`; UNREAD for chunks that the master did not read."""
        rows = self.store.receipts(self.record.step)
        folded = ((row.first + index, row.columns.content(index)) for row in rows for index in range(row.count))
        next_id, content = next(folded, (self.stop, UNREAD))
        for chunk_id in range(first, self.stop):
            while next_id < chunk_id:
                next_id, content = next(folded, (self.stop, UNREAD))
            yield content if next_id == chunk_id else self.chunks.get(chunk_id).content


class StoredChunkReplay(Chunker):
    """Chunker that yields the stored chunks under their ids, then continues with the source if it can.

    Args:
        source: The source of the run, as it is now.
        clock: As for `Chunker`.
        remains: Chunks that earlier masters left.
        project, frame: As for `Chunker`.
        reread: The source yields the same entries again from its start. The replay reads the known chunks, compares
            them with the run and skips them.

    Raises:
        SourceError: With `reread`: the source cannot be read, or yields other entries.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        remains: StoredChunks,
        *,
        project: Projection | None = None,
        reread: bool = False,
        frame: Callable[[bytes], bytes] = compress,
    ) -> None:
        self._remains = remains
        self._next_id = remains.folded.low
        self._rest: Chunker | None = None
        #: number of entries that the run got from the source, as far as it counted them
        self._entries = remains.record.counters.get("entries", 0)
        #: reason why the source cannot continue
        self._source_failure: str | None = None
        self.keeps = True
        self.reached = remains.record.position
        self.exhausted = remains.record.exhausted
        if self.exhausted:
            return
        whole: Position = (0, None)
        positions = (
            [whole] if reread or not remains.stop else [remains.position_after_last(source), remains.last_known()]
        )
        for start in filter(None, positions):
            try:
                self._rest = self._skip_known(
                    Chunker(source, clock, project=project, resume=start, frame=frame), start[0]
                )
                return
            except SourceError as error:
                if reread:
                    raise
                self._source_failure = self._source_failure or str(error)

    @property
    def chunks(self) -> int:
        return max(self._remains.stop, self._rest.chunks if self._rest is not None else 0)

    def cut(self, count: int, max_bytes: int = sys.maxsize) -> tuple[list[Chunk], bool]:
        chunks: list[Chunk] = []
        while len(chunks) < count and max_bytes > 0 and self._next_id < self._remains.stop:
            chunks.append(self._stored(self._next_id))
            self._next_id += 1
            max_bytes -= chunks[-1].weight
        if len(chunks) == count or max_bytes <= 0:
            return chunks, False
        if self._rest is None:
            return chunks, True
        more, ended = self._rest.cut(count - len(chunks), max_bytes)
        self.reached, self.exhausted = self._rest.reached, self._rest.exhausted
        return chunks + more, ended

    def check(self) -> None:
        if self._rest is None and self._source_failure is not None:
            run_id = self._remains.store.run_id
            raise SourceError(
                f"all stored chunks of run {run_id} are in the result, but its source does not continue at entry "
                f"{self._entries:,} ({self._source_failure.rstrip('.')}); if it yields the same entries again, run "
                f"`elastic resume {run_id} --reread-source`."
            )

    def give_back(self, chunks: list[Chunk]) -> None:
        cut = [chunk for chunk in chunks if chunk.chunk_id >= self._remains.stop]
        if cut and self._rest is not None:
            self._rest.give_back(cut)

    def close(self) -> None:
        if self._rest is not None:
            self._rest.close()

    def _stored(self, chunk_id: int) -> Chunk:
        if chunk_id in self._remains.folded:
            return Chunk(chunk_id, (), 0, ())  # keeps the ids dense; the ledger ignores it
        chunk = self._remains.chunks.get(chunk_id)
        self.reached = (chunk_id, chunk.position)
        self._entries += chunk.entries if chunk.entries != UNCOUNTED else 0
        return chunk

    def _skip_known(self, rest: Chunker, first: int) -> Chunker:
        """Read and skip the chunks that the run has, and return the chunker, which then yields new ones.

        Raises:
            SourceError: The chunks differ, or there are fewer.
        """
        stop = self._remains.stop
        expected, at = self._remains.contents(first), first
        while at < stop:
            chunks, ended = rest.cut(min(stop - at, _SKIP_BATCH))
            for chunk, content in zip(chunks, expected, strict=False):
                if UNREAD not in (chunk.content, content) and chunk.content != content:
                    raise self._mismatch(f"other entries in chunk {chunk.chunk_id}")
            at += len(chunks)
            if ended and at < stop:
                raise self._mismatch(f"{at} chunks where there were {stop} or more")
        return rest

    def _mismatch(self, difference: str) -> SourceError:
        return SourceError(
            f"the source yields {difference} than it did for run {self._remains.store.run_id}; give the same source, "
            "or start a new run."
        )
