"""Batch size controller and queue of pending chunks."""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from elastic.core.model.chunk import Batch, Chunk, DeliveryHistory
from elastic.core.policies.engine_tuning import EngineTuning

#: Maximum growth of the batch size from one call to the next, because the next chunks may be heavier.
_MAX_GROWTH = 4


@dataclass(slots=True)
class BatchSizer:
    """Controller of the batch size: large enough to hide the overhead of a call, small enough to spread the work."""

    tuning: EngineTuning
    size: int = 1
    _seconds_per_chunk: float = 0.0

    def seconds_for(self, chunks: int) -> float:
        """Return the expected seconds of a call with `chunks` chunks; 0 before the first call."""
        return self._seconds_per_chunk * chunks

    def last_size(self, waiting: int, workers: int) -> int:
        """Return the size of the next call once the source is exhausted: small enough that every worker gets some."""
        return max(1, min(self.size, -(-waiting // max(1, workers))))

    def straggler_limit(self, batch: Batch) -> float:
        """Return the seconds after which a call gets a speculative copy."""
        # Doubled for each copy, so that a call that is slow on every worker does not occupy all of them.
        limit = max(self.tuning.speculation_timeout, 3 * self.seconds_for(len(batch)))
        return limit * 2.0 ** min(batch.history.copies, 16)

    def observe(self, chunks: int, seconds: float) -> None:
        """Learn from a call that carried `chunks` and kept a worker busy for `seconds`."""
        observed = max(seconds, 1e-7) / chunks
        known = self._seconds_per_chunk
        self._seconds_per_chunk = observed if not known else (known + observed) / 2
        wanted = int(self.tuning.target_call_seconds / self._seconds_per_chunk)
        self.size = max(1, min(wanted, chunks * _MAX_GROWTH, self.tuning.max_chunks_per_call))


_NEW = DeliveryHistory()


@dataclass(slots=True)
class PendingChunks:
    """Queue of chunks that can be sent, in order of their ids, each with its delivery history."""

    _queue: deque[tuple[Chunk, DeliveryHistory]] = field(default_factory=deque)
    bytes: int = 0

    def __len__(self) -> int:
        return len(self._queue)

    def append(self, chunks: Collection[Chunk]) -> None:
        """Append newly cut chunks."""
        self._queue.extend((chunk, _NEW) for chunk in chunks)
        self.bytes += sum(chunk.weight for chunk in chunks)

    def put_back(self, chunks: Collection[Chunk], history: DeliveryHistory) -> None:
        """Insert chunks that were sent before, in order of their ids."""
        entries = [*self._queue, *((chunk, history) for chunk in chunks)]
        entries.sort(key=lambda entry: entry[0].chunk_id)
        self._queue = deque(entries)
        self.bytes += sum(chunk.weight for chunk in chunks)

    def take(self, batch_id: int, size: int, max_bytes: int) -> Batch:
        """Remove the next chunks with consecutive ids and equal history, at least one, and return them as a batch."""
        chunk, history = self._queue.popleft()
        taken, weight = [chunk], chunk.weight
        size = min(size, history.max_chunks or size)
        queue, following_id = self._queue, chunk.chunk_id + 1
        while queue and len(taken) < size:
            following, others = queue[0]
            whole = weight + following.weight
            has_same_history = others is history or others == history
            if following.chunk_id != following_id or not has_same_history or whole > max_bytes:
                break
            taken.append(following)
            queue.popleft()
            weight, following_id = whole, following_id + 1
        self.bytes -= weight
        return Batch(batch_id, history, tuple(taken))

    def discard(self, is_obsolete: Callable[[Chunk], bool]) -> None:
        """Remove chunks whose results have arrived after all."""
        self._queue = deque(entry for entry in self._queue if not is_obsolete(entry[0]))
        self.bytes = sum(chunk.weight for chunk, _ in self._queue)

    def __iter__(self) -> Iterator[tuple[Chunk, DeliveryHistory]]:
        """Yield each chunk with its history."""
        return iter(self._queue)
