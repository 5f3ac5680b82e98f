"""Record of losses: lost workers and nodes, and the last known locations of unfinished chunks."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from elastic.core.ledger.in_flight import InFlightBatch
from elastic.core.model.chunk import Batch
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.chunk_location import ChunkLocation, Loss
from elastic.core.receipts.stage import Stage

#: Maximum number of losses that a step lists; its counters include all.
_MAX_LOSSES = 1000

#: Maximum number of lost batches that are remembered until their chunks are folded.
_MAX_LEFT = 10_000


class LossRecord:
    """Log of losses, for reports only."""

    def __init__(self) -> None:
        self.list: deque[Loss] = deque(maxlen=_MAX_LOSSES)
        self._left: deque[ChunkLocation] = deque(maxlen=_MAX_LEFT)

    def begin(self, losses: Iterable[Loss], left: Iterable[ChunkLocation]) -> None:
        """Restore the record of an earlier master."""
        self.list.extend(losses)
        self._left.extend(left)

    def record(self, node_id: str, worker_id: str | None, reason: str) -> None:
        """Record the loss of a worker, or of a whole node."""
        self.list.append(Loss(node_id, worker_id, reason))

    def leave(self, node_id: str, worker_id: str | None, batch: Batch, reason: str) -> None:
        """Record that a batch must be resent, and its last location."""
        gone = _whereabouts(node_id, worker_id, batch, reason)
        self._left.append(gone)
        last = self.list[-1] if self.list else None
        if last is not None and (last.node_id, last.reason) == (node_id, reason):
            more = gone.entries_of(gone.first, gone.stop)
            entries = None if more is None or last.entries is None else last.entries + more
            self.list[-1] = replace(last, chunks=last.chunks + len(batch), entries=entries)

    def whereabouts(self, flight: Iterable[InFlightBatch], folded: ChunkIdSet) -> list[ChunkLocation]:
        """Return the last location of all chunks that were sent and are not folded, by ascending chunk id.

        Args:
            flight: Batches in flight.
            folded: Folded chunks.
        """
        found = [_whereabouts(sent.node_id, sent.worker_id, sent.batch) for sent in flight]
        if self._left:
            seen = {chunk_id for each in found for chunk_id in range(each.first, each.stop)}
            kept = []
            for left in reversed(self._left):
                ids = [at for at in range(left.first, left.stop) if at not in seen and at not in folded]
                if ids:
                    kept.append(left)
                    seen.update(ids)
                    found += (_part(left, first, stop) for first, stop in _spans(ids))
            self._left = deque(reversed(kept), maxlen=_MAX_LEFT)
        return sorted(found, key=lambda each: (each.first, each.attempt))


def _whereabouts(node_id: str, worker_id: str | None, batch: Batch, lost: str = "") -> ChunkLocation:
    stage = Stage.SENT if worker_id is None else Stage.PROCESSED
    runs = groupby(chunk.entries for chunk in batch.chunks)
    counts = tuple((sum(1 for _ in run), entries) for entries, run in runs)
    return ChunkLocation(batch.first, batch.stop, node_id, worker_id, stage.value, batch.attempt, counts, lost)


def _part(whole: ChunkLocation, first: int, stop: int) -> ChunkLocation:
    counts, at = [], whole.first
    for chunks, entries in whole.counts:
        inside = min(stop, at + chunks) - max(first, at)
        if inside > 0:
            counts.append((inside, entries))
        at += chunks
    return replace(whole, first=first, stop=stop, counts=tuple(counts))


def _spans(ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = ids[0]
    for before, after in zip(ids, [*ids[1:], -1], strict=True):
        if after != before + 1:
            yield first, before + 1
            first = after
