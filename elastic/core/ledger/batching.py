"""How many chunks one call should carry, learnt from how long calls take."""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from elastic.core.model.chunk import Batch, Chunk, DeliveryHistory
from elastic.core.policies.engine_tuning import EngineTuning

#: A call carries at most this many times the chunks of the calls before it, because the next chunks may be heavier.
_GROWTH = 4


@dataclass(slots=True)
class BatchSizer:
    """The size of the next call: big enough to hide what a call costs, small enough to spread."""

    settings: EngineTuning
    size: int = 1
    _seconds_per_chunk: float = 0.0

    def seconds_for(self, chunks: int) -> float:
        """Return how long a call with so many chunks takes, as far as is known."""
        return self._seconds_per_chunk * chunks

    def last_size(self, waiting: int, workers: int) -> int:
        """Return the chunks of the next call when no more are cut: so few that every worker gets some."""
        return max(1, min(self.size, -(-waiting // max(1, workers))))

    def patience(self, batch: Batch) -> float:
        """Return after how many seconds a call is given to a second worker as well."""
        # Doubled each time, so that a call that is slow everywhere does not take all workers at once.
        patience = max(self.settings.speculation_timeout, 3 * self.seconds_for(len(batch)))
        return patience * 2.0 ** min(batch.history.copies, 16)

    def observe(self, chunks: int, seconds: float) -> None:
        """Learn from a call that carried `chunks` and kept a worker busy for `seconds`."""
        observed = max(seconds, 1e-7) / chunks
        known = self._seconds_per_chunk
        self._seconds_per_chunk = observed if not known else (known + observed) / 2
        wanted = int(self.settings.target_call_seconds / self._seconds_per_chunk)
        self.size = max(1, min(wanted, chunks * _GROWTH, self.settings.max_chunks_per_call))


_NEW = DeliveryHistory()


@dataclass(slots=True)
class PendingChunks:
    """Chunks that can be sent, in order of their ids, with what happened to them before."""

    _queue: deque[tuple[Chunk, DeliveryHistory]] = field(default_factory=deque)
    bytes: int = 0

    def __len__(self) -> int:
        return len(self._queue)

    def append(self, chunks: Collection[Chunk]) -> None:
        """Put freshly cut chunks behind all others."""
        self._queue.extend((chunk, _NEW) for chunk in chunks)
        self.bytes += sum(chunk.weight for chunk in chunks)

    def put_back(self, chunks: Collection[Chunk], history: DeliveryHistory) -> None:
        """Put chunks that were sent before where their ids belong."""
        entries = [*self._queue, *((chunk, history) for chunk in chunks)]
        entries.sort(key=lambda entry: entry[0].chunk_id)
        self._queue = deque(entries)
        self.bytes += sum(chunk.weight for chunk in chunks)

    def take(self, batch_id: int, size: int, max_bytes: int) -> Batch:
        """Take the next chunks with consecutive ids and one history, at least one, as a batch."""
        chunk, history = self._queue.popleft()
        taken, weight = [chunk], chunk.weight
        size = min(size, history.care.most_chunks or size)
        queue, following_id = self._queue, chunk.chunk_id + 1
        while queue and len(taken) < size:
            following, others = queue[0]
            whole = weight + following.weight
            is_alike = others is history or others == history
            if following.chunk_id != following_id or not is_alike or whole > max_bytes:
                break
            taken.append(following)
            queue.popleft()
            weight, following_id = whole, following_id + 1
        self.bytes -= weight
        return Batch(batch_id, history, tuple(taken))

    def discard(self, is_needless: Callable[[Chunk], bool]) -> None:
        """Forget chunks whose results came after all."""
        self._queue = deque(entry for entry in self._queue if not is_needless(entry[0]))
        self.bytes = sum(chunk.weight for chunk, _ in self._queue)

    def __iter__(self) -> Iterator[tuple[Chunk, DeliveryHistory]]:
        """Yield chunks and what happened to each before."""
        return iter(self._queue)
