"""Replay: what an earlier master of a one-shot step has kept on disk, and then what is left in the source."""

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

#: Chunks that are read and left out at a time.
_SKIPPED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """What there is of the chunks of a one-shot step."""

    store: RunStore
    record: StepRecord
    folded: ChunkIdSet
    #: chunks `[folded.low, stop)` are folded or kept; the source yields the one at `stop` next
    stop: int
    #: ids of the kept ones
    kept: tuple[int, ...]

    @classmethod
    def of(cls, store: RunStore, record: StepRecord) -> "StoredChunks":
        """Look at what is kept, and forget what is not needed any more.

        Raises:
            CorruptStoreError: A chunk is neither in the result nor kept; names it.
        """
        folded, chunks = ChunkIdSet.of(record.low, record.bitmap), store.chunks(record.step)
        on_disk = list(chunks.unfinished())
        present = {chunk_id for chunk_id in on_disk if chunk_id not in folded}
        cut = max(record.counters.get("cut", 0), folded.low)
        lost = [n for n in range(folded.low, cut) if n not in present and n not in folded]
        if lost:
            raise CorruptStoreError(
                f"run {store.run_id}, step {record.step}: chunk {lost[0]} was cut and is neither in the result nor "
                f"among the kept ones ({len(lost)} such chunks); put back the folder `chunks` of the run, or begin a "
                "new one."
            )
        stop = cut
        while stop in present:
            stop += 1
        # What lies behind a gap was being kept when the process ended, and was not sent.
        kept = tuple(sorted(chunk_id for chunk_id in present if chunk_id < stop))
        chunks.delete(set(on_disk).difference(kept))
        return cls(store, record, folded, stop, kept)

    @property
    def chunks(self) -> ChunkStore:
        return self.store.chunks(self.record.step)

    def last_known(self) -> Position:
        """Return `(chunk id, source position)` of the last chunk whose position is known."""
        known = self.record.position or (0, None)
        if self.kept and self.kept[-1] >= known[0]:
            return self.kept[-1], self.chunks.get(self.kept[-1]).position
        return known

    def position_after_last(self, source: Source) -> Position | None:
        """Return `(chunk id, source position)` of the chunk that follows the last one, if the source can tell."""
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
        """Yield the digests of the chunks `[first, stop)`; UNREAD for those that nobody had read as they were cut."""
        rows = self.store.receipts(self.record.step)
        folded = ((row.first + index, row.columns.content(index)) for row in rows for index in range(row.count))
        next_id, content = next(folded, (self.stop, UNREAD))
        for chunk_id in range(first, self.stop):
            while next_id < chunk_id:
                next_id, content = next(folded, (self.stop, UNREAD))
            yield content if next_id == chunk_id else self.chunks.get(chunk_id).content


class StoredChunkReplay(Chunker):
    """Gives the kept chunks with the ids that they had, and goes on with the source if it can.

    Args:
        source: What was cut, as it is now.
        clock: As for `Chunker`.
        remains: What earlier masters have left.
        project, frame: As for `Chunker`.
        reread: The source yields the same entries again from its start; those that the run has are read, compared
            with what it has, and left out.

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
        #: entries that the run has had from the source, as far as they were counted
        self._entries = remains.record.counters.get("entries", 0)
        #: why the source does not go on
        self._lack: str | None = None
        self.keeps = True
        self.reached = remains.record.position
        self.exhausted = remains.record.exhausted
        if self.exhausted:
            return
        whole: Position = (0, None)
        starts = [whole] if reread or not remains.stop else [remains.position_after_last(source), remains.last_known()]
        for start in filter(None, starts):
            try:
                self._rest = self._beginning(
                    Chunker(source, clock, project=project, resume=start, frame=frame), start[0]
                )
                return
            except SourceError as error:
                if reread:
                    raise
                self._lack = self._lack or str(error)

    @property
    def chunks(self) -> int:
        return max(self._remains.stop, self._rest.chunks if self._rest is not None else 0)

    def cut(self, count: int, max_bytes: int = sys.maxsize) -> tuple[list[Chunk], bool]:
        chunks: list[Chunk] = []
        while len(chunks) < count and max_bytes > 0 and self._next_id < self._remains.stop:
            chunks.append(self._kept(self._next_id))
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
        if self._rest is None and self._lack is not None:
            run_id = self._remains.store.run_id
            raise SourceError(
                f"all that run {run_id} had kept is in the result, but what its source yields from entry "
                f"{self._entries:,} on is not ({self._lack.rstrip('.')}); if it yields the same entries again, run "
                f"`elastic resume {run_id} --reread-source`."
            )

    def give_back(self, chunks: list[Chunk]) -> None:
        cut = [chunk for chunk in chunks if chunk.chunk_id >= self._remains.stop]
        if cut and self._rest is not None:
            self._rest.give_back(cut)

    def close(self) -> None:
        if self._rest is not None:
            self._rest.close()

    def _kept(self, chunk_id: int) -> Chunk:
        if chunk_id in self._remains.folded:
            return Chunk(chunk_id, (), 0, ())  # to keep the ids dense; the ledger leaves it out
        chunk = self._remains.chunks.get(chunk_id)
        self.reached = (chunk_id, chunk.position)
        self._entries += chunk.entries if chunk.entries != UNCOUNTED else 0
        return chunk

    def _beginning(self, rest: Chunker, first: int) -> Chunker:
        """Read and leave out the chunks that the run has, and return the chunker of what follows them.

        Raises:
            SourceError: They are not the same chunks, or there are fewer.
        """
        stop = self._remains.stop
        expected, at = self._remains.contents(first), first
        while at < stop:
            chunks, ended = rest.cut(min(stop - at, _SKIPPED_AT_ONCE))
            for chunk, content in zip(chunks, expected, strict=False):
                if UNREAD not in (chunk.content, content) and chunk.content != content:
                    raise self._other(f"other entries in chunk {chunk.chunk_id}")
            at += len(chunks)
            if ended and at < stop:
                raise self._other(f"{at} chunks where there were {stop} or more")
        return rest

    def _other(self, what: str) -> SourceError:
        return SourceError(
            f"the source yields {what} than it did for run {self._remains.store.run_id}; give the same source, or "
            "start a new run."
        )
