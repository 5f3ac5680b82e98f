"""Batches in flight: sent and not folded yet, with the nodes that have them."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from elastic.core.contracts.placement import NodeCandidate
from elastic.core.model.chunk import Batch, Chunk
from elastic.core.receipts.stage import Stage

#: Pause after a collection, as a multiple of its duration (if longer than the setting), and its maximum in seconds.
#: The maximum limits the work that a lost worker takes along.
#:
#: While the result grows with each collection the multiple is 1: new keys must reach the master once in any case.
#: Early collections keep the workers' lookup tables small and leave the master less to merge at the end. But the
#: multiple is at least the number of nodes, so that collecting from all nodes in turn does not overload the master.
#:
#: A worker in the master's thread cannot work while its state is encoded and merged, and every state that is collected
#: contains the frequent keys again. So its multiple is larger, whether the result grows or not.
_COLLECT_SHARE, _IN_THREAD_SHARE, _MAX_COLLECT_SECONDS = 10, 30, 30.0


@dataclass(slots=True)
class InFlightBatch:
    """In-flight batch: sent and not folded yet."""

    batch: Batch
    node_id: str
    #: Monotonic seconds.
    sent_at: float
    #: Bytes of its chunks.
    weight: int
    #: True once its call has ended.
    answered: bool = False
    #: True if a second worker has got its chunks as well.
    has_copy: bool = False
    #: Worker that holds its result; None until that worker has reported it.
    worker_id: str | None = None


@dataclass(slots=True)
class Node:
    """State of one node: its workers, calls and collections."""

    node_id: str
    on_master: bool
    #: Calls that each of its workers accepts beyond `calls_per_worker`.
    ahead: int = 0
    #: True if its worker shares the master's thread.
    in_thread: bool = False
    workers: set[str] = field(default_factory=set)
    #: Batches sent and not answered.
    calls: int = 0
    #: Chunks sent and not folded.
    chunks: int = 0
    #: Batches whose results its workers hold.
    held: int = 0
    #: True during a collection.
    collecting: bool = False
    #: True if its workers hold a result that is newer than the last collection request.
    fresh: bool = False
    #: Monotonic seconds when its next collection is due.
    due_at: float = 0.0
    #: Seconds of the last collection, on the node and for merging.
    seconds: float = 0.0
    #: True if the last merge brought new keys.
    growing: bool = False
    #: Seconds from the last collection, or from the first result held since, to the next one.
    pause: float = 0.0
    #: Ids of batches whose replies were lost: an unknown worker may hold their results.
    doubts: set[int] = field(default_factory=set)
    #: Ids of the doubtful batches that the current collection was requested for.
    asked: set[int] = field(default_factory=set)
    #: Number of further calls that it accepts.
    room: int = 0


@dataclass(frozen=True, slots=True)
class UnfinishedChunks:
    """Consecutive chunks that are cut and not folded."""

    first: int
    stop: int
    #: Last stage known to the master; None for chunks that were not sent.
    stage: Stage | None
    node_id: str | None
    worker_id: str | None
    #: Number of times they were sent.
    attempt: int


class Candidates(Sequence[NodeCandidate]):
    """Lazy sequence of the nodes that accept another call, sorted by id."""

    def __init__(self, nodes: dict[str, Node], open_ids: list[str]) -> None:
        self._nodes, self._open_ids = nodes, open_ids

    def __len__(self) -> int:
        return len(self._open_ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._of(node_id) for node_id in self._open_ids[index]]
        return self._of(self._open_ids[index])

    def _of(self, node_id: str) -> NodeCandidate:
        node = self._nodes[node_id]
        return NodeCandidate(node_id, len(node.workers), node.chunks, node.on_master)


@dataclass(slots=True)
class InFlight:
    """Registry of the batches in flight, by id, and of the nodes of the run.

    It maintains every figure that the ledger needs per event. With a thousand nodes, counting them each time would take
    all of the master's time.
    """

    calls_per_worker: int
    #: Minimum seconds between two collections of a node.
    collect_interval: float
    nodes: dict[str, Node] = field(default_factory=dict)
    batches: dict[int, InFlightBatch] = field(default_factory=dict)
    #: Bytes of all batches.
    weight: int = 0
    workers: int = 0
    #: Number of further calls that the nodes accept.
    credits: int = 0
    #: Chunks whose results workers hold.
    held_chunks: int = 0

    #: Ids of the nodes that accept another call, sorted.
    _open: list[str] = field(default_factory=list)
    #: Ids of nodes to consider for a collection: those with a new result, those with doubtful batches, and a heap of
    #: all others that hold a result, by due time.
    _fresh: set[str] = field(default_factory=set)
    _doubtful: set[str] = field(default_factory=set)
    _due: list[tuple[float, str]] = field(default_factory=list)
    #: Seconds per chunk of the last merge.
    _merge_seconds: float = 0.0
    #: Monotonic seconds before which collections are not brought forward again.
    _next_advance_at: float = 0.0
    #: Batches that the user asked to retry, by id.
    _retry_batches: dict[int, InFlightBatch] = field(default_factory=dict)
    #: Extra copies in flight of each chunk that is not folded and was sent to a second worker.
    _copies: Counter[int] = field(default_factory=Counter)

    def candidates(self) -> Candidates:
        """Return the nodes that accept another call, sorted by id."""
        return Candidates(self.nodes, self._open)

    def candidates_for_copy(self, sent: InFlightBatch) -> Candidates:
        """Return the nodes that accept a copy of a batch: other nodes, or its own node if that has more workers."""
        others = [node_id for node_id in self._open if node_id != sent.node_id]
        own = self.nodes.get(sent.node_id)
        if not others and own is not None and own.room and len(own.workers) > 1:
            others = [sent.node_id]
        return Candidates(self.nodes, others)

    def add_worker(self, node: Node, worker_id: str) -> None:
        """Record that a worker joined a node, which is new or known."""
        node.pause = self.collect_interval
        node = self.nodes.setdefault(node.node_id, node)
        self.workers += worker_id not in node.workers
        node.workers.add(worker_id)
        self._update_room(node)

    def remove_worker(self, node: Node, worker_id: str) -> None:
        """Record that a worker left its node."""
        node.workers.discard(worker_id)
        self.workers -= 1
        self._update_room(node)

    def remove_node(self, node_id: str) -> list[InFlightBatch]:
        """Remove a node and return the batches that were on it."""
        node = self.nodes[node_id]
        self.workers -= len(node.workers)
        node.workers.clear()
        self._update_room(node)
        self._fresh.discard(node_id)
        del self.nodes[node_id]
        return [sent for sent in self.batches.values() if sent.node_id == node_id]

    def _update_room(self, node: Node) -> None:
        """Recompute how many calls a node accepts, after its workers or calls have changed."""
        room = max(0, len(node.workers) * (self.calls_per_worker + node.ahead) - node.calls)
        self.credits += room - node.room
        if room and not node.room:
            insort(self._open, node.node_id)
        elif node.room and not room:
            del self._open[bisect_left(self._open, node.node_id)]
        node.room = room

    def send(self, batch: Batch, node_id: str, now: float) -> None:
        """Record that a batch was sent to a node."""
        sent = InFlightBatch(batch, node_id, now, sum([chunk.weight for chunk in batch.chunks]))
        self.batches[batch.batch_id] = sent
        node = self.nodes[node_id]
        node.calls += 1
        node.chunks += len(batch)
        self._update_room(node)
        self.weight += sent.weight

    def mark_answered(self, sent: InFlightBatch) -> None:
        """Record that the call of a batch has ended; its node accepts another one."""
        if not sent.answered:
            sent.answered = True
            if (node := self.nodes.get(sent.node_id)) is not None:
                node.calls -= 1
                self._update_room(node)

    def mark_held(self, sent: InFlightBatch, worker_id: str, now: float) -> None:
        """Record that a worker holds the result of a batch."""
        sent.worker_id = worker_id
        node = self.nodes[sent.node_id]
        if not node.held:
            self._set_due(node, now + node.pause)
        node.held += 1
        self.held_chunks += len(sent.batch)
        node.fresh = True
        self._fresh.add(node.node_id)

    def remove(self, sent: InFlightBatch) -> None:
        """Remove a batch from the batches in flight."""
        self.mark_answered(sent)
        del self.batches[sent.batch.batch_id]
        self.weight -= sent.weight
        self.held_chunks -= len(sent.batch) if sent.worker_id is not None else 0
        if (node := self.nodes.get(sent.node_id)) is not None:
            node.chunks -= len(sent.batch)
            node.held -= sent.worker_id is not None

    def mark_in_doubt(self, sent: InFlightBatch) -> bool:
        """Mark a batch whose reply was lost as in doubt until its node is next collected.

        Return False if the node is gone.

        Sending it again at once would risk a second result. Dropping that one would drop everything collected with it.
        """
        if (node := self.nodes.get(sent.node_id)) is None:
            return False
        self.mark_answered(sent)
        node.doubts.add(sent.batch.batch_id)
        self._doubtful.add(node.node_id)
        return True

    def request_collection(self, node: Node) -> None:
        """Record that the results held by a node's workers were requested."""
        node.collecting, node.fresh = True, False
        node.asked, node.doubts = node.asked | node.doubts, set()
        self._fresh.discard(node.node_id)

    def mark_collected(self, node_id: str, now: float, seconds: float) -> list[InFlightBatch]:
        """Record that a node returned its held results, which took `seconds`.

        Returns:
            The doubtful batches whose results were not among them.
        """
        if (node := self.nodes.get(node_id)) is None:
            return []
        asked, node.asked = node.asked, set()
        node.collecting = False
        node.seconds = seconds
        node.pause = self._pause_after(node)
        if node.held:
            self._set_due(node, now + node.pause)
        return [self.batches[batch_id] for batch_id in sorted(asked) if batch_id in self.batches]

    def bring_collections_forward(self, now: float, seconds_left: float) -> None:
        """Bring the next collections forward if merging all held results would take longer than the remaining work.

        The master then merges them while the workers are busy, and not after they have finished.
        """
        seconds = self.held_chunks * self._merge_seconds
        if now >= self._next_advance_at and 0 < seconds_left < seconds:
            self._next_advance_at = now + max(self.collect_interval, seconds)
            for node in self.nodes.values():
                if node.held and not node.in_thread:
                    self._set_due(node, now)

    def mark_merged(self, node_id: str, chunks: int, seconds: float, *, growing: bool) -> None:
        """Record that the master merged the results of a node in `seconds`; `growing` if they brought new keys."""
        self._merge_seconds = seconds / chunks
        if (node := self.nodes.get(node_id)) is not None:
            node.seconds += seconds
            node.growing = growing
            before, node.pause = node.pause, self._pause_after(node)
            if node.held:
                self._set_due(node, node.due_at + node.pause - before)

    def _pause_after(self, node: Node) -> float:
        usual = _IN_THREAD_SHARE if node.in_thread else 1 if node.growing else _COLLECT_SHARE
        share = max(len(self.nodes), usual)
        return max(self.collect_interval, min(share * node.seconds, _MAX_COLLECT_SECONDS))

    def _set_due(self, node: Node, due_at: float) -> None:
        node.due_at = due_at
        heappush(self._due, (due_at, node.node_id))

    def stragglers(self, now: float, limit: Callable[[Batch], float]) -> list[InFlightBatch]:
        """Return the batches that deserve a speculative copy, in the order of their chunks.

        These are calls that exceed their limit, and results that their workers may hold: a worker returns those only
        after its call has ended.
        """
        late = [sent for sent in self if not sent.answered and now - sent.sent_at > limit(sent.batch)]
        late_nodes = {sent.node_id for sent in late}
        stuck = {node.node_id for node in self.nodes.values() if not (node.collecting or node.fresh)} & late_nodes
        held = [sent for sent in self if sent.worker_id is not None and sent.node_id in stuck]
        return sorted((s for s in late + held if not s.has_copy), key=lambda sent: sent.batch.first)

    def request_retry(self, chunk_ids: frozenset[int], now: float) -> None:
        """Record that the user asked to retry chunks, and make collections of their held results due now."""
        for sent in self.batches.values():
            # A copy of a copy may reach the worker that holds the first copy, and the ledger would drop both.
            is_copy = bool(sent.batch.history.copies and self._copies[sent.batch.first])
            if is_copy or chunk_ids.isdisjoint(chunk.chunk_id for chunk in sent.batch.chunks):
                continue
            self._retry_batches[sent.batch.batch_id] = sent
            if sent.worker_id is not None and (node := self.nodes.get(sent.node_id)) is not None:
                self._set_due(node, now)

    def retry_requested(self) -> list[InFlightBatch]:
        """Return the batches that a second worker should process because the user asked for a retry.

        These are calls that have not ended, and results that a collection missed because their worker was busy.
        """
        if not self._retry_batches:
            return []
        self._retry_batches = {
            n: sent for n, sent in self._retry_batches.items() if n in self.batches and not sent.has_copy
        }
        return [sent for sent in self._retry_batches.values() if not sent.answered or self._is_left_behind(sent)]

    def _is_left_behind(self, sent: InFlightBatch) -> bool:
        node = self.nodes.get(sent.node_id)
        return sent.worker_id is not None and node is not None and not (node.collecting or node.fresh)

    def speculate(self, sent: InFlightBatch, batch_id: int) -> Batch:
        """Return a speculative copy of a batch, for a second worker."""
        sent.has_copy = True
        self._copies.update(chunk.chunk_id for chunk in sent.batch.chunks)
        return Batch(batch_id, sent.batch.history.speculated(), sent.batch.chunks)

    def without_other_copies(self, chunks: list[Chunk]) -> list[Chunk]:
        """Return the chunks of a lost batch that no other batch in flight contains.

        Resending the others would process them twice, and the ledger drops every partial that repeats a chunk. But the
        batches that contain the others may be copied again.
        """
        if not self._copies:
            return chunks
        alone = [chunk for chunk in chunks if not self._copies[chunk.chunk_id]]
        lost = Counter(chunk.chunk_id for chunk in chunks)
        self._copies -= lost
        if len(alone) < len(chunks):
            for sent in self:
                if sent.has_copy and any(chunk.chunk_id in lost for chunk in sent.batch.chunks):
                    sent.has_copy = False
        return alone

    def forget_copies(self, first: int, stop: int) -> None:
        """Forget the copies of chunks `[first, stop)`, which are folded."""
        if self._copies:
            for chunk_id in range(first, stop):
                self._copies.pop(chunk_id, None)

    def held_by(self, worker_id: str) -> list[InFlightBatch]:
        """Return the batches whose results a worker holds."""
        return [sent for sent in self.batches.values() if sent.worker_id == worker_id]

    def collectable(self, now: float, *, fresh: bool) -> list[Node]:
        """Return the nodes to consider for a collection; with `fresh` also those with a result since their last one."""
        found = {node_id for node_id in self._doubtful if node_id in self.nodes and self.nodes[node_id].doubts}
        self._doubtful = set(found)
        while self._due and self._due[0][0] <= now:
            found.add(heappop(self._due)[1])
        if fresh:
            found |= self._fresh
        return [self.nodes[node_id] for node_id in sorted(found) if node_id in self.nodes]

    def chunk(self, chunk_id: int) -> Chunk | None:
        """Return a chunk that is in flight."""
        for sent in self.batches.values():
            if sent.batch.first <= chunk_id < sent.batch.stop:
                return sent.batch.chunks[chunk_id - sent.batch.first]
        return None

    def missing(self) -> list[UnfinishedChunks]:
        """Return the chunks in flight, with the last stage known to the master."""
        return [
            UnfinishedChunks(
                sent.batch.first,
                sent.batch.stop,
                Stage.SENT if sent.worker_id is None else Stage.PROCESSED,
                sent.node_id,
                sent.worker_id,
                sent.batch.attempt,
            )
            for sent in self
        ]

    def __iter__(self) -> Iterator[InFlightBatch]:
        return iter(self.batches.values())
