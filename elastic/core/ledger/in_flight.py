"""What is in flight: batches that were sent and are not folded, and the nodes that have them."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from elastic.core.contracts.placement import NodeCandidate
from elastic.core.model.chunk import Batch, Chunk
from elastic.core.receipts.stage import Stage

#: The pause after a collection is so many times as long as the collection took, if that is more than the settings
#: say, and up to so many seconds: what takes long is much, and what is much is lost with a worker.
#:
#: While the result grows with each collection it is as long as the collection: what is new has to come once in any
#: case; the sooner, the smaller are the tables that workers look keys up in, and the less is left for the master when
#: they have nothing to do. But it is as many times as long as there are nodes, so that the collections of all of them,
#: one after another, keep the master busy and no more.
_COLLECT_SHARE, _MOST_COLLECT_SECONDS = 10, 30.0


@dataclass(slots=True)
class InFlightBatch:
    """A batch that was sent and is not folded."""

    batch: Batch
    node_id: str
    #: monotonic seconds
    sent_at: float
    #: bytes of its chunks
    weight: int
    #: False while its call has not ended
    answered: bool = False
    #: its chunks were given to a second worker as well
    copied: bool = False
    #: the worker that holds its result; None until word of that came
    worker_id: str | None = None


@dataclass(slots=True)
class Node:
    """A node and what was asked of it."""

    node_id: str
    on_master: bool
    #: calls that each of its workers takes beyond `calls_per_worker`
    ahead: int = 0
    workers: set[str] = field(default_factory=set)
    #: batches sent and not answered
    calls: int = 0
    #: chunks sent and not folded
    chunks: int = 0
    #: batches whose results its workers hold
    held: int = 0
    #: a collection is under way
    collecting: bool = False
    #: a result was held since the last collection was asked for
    fresh: bool = False
    #: monotonic seconds at which its workers have held something for long enough
    due_at: float = 0.0
    #: seconds that the last collection took, on the node and to be merged
    seconds: float = 0.0
    #: the result grew with what was merged last
    growing: bool = False
    #: seconds from it, or from the first result held since, until the next one
    pause: float = 0.0
    #: batches whose answers were lost: a worker may hold their results, and nobody knows which one
    doubts: set[int] = field(default_factory=set)
    #: those of them that the collection under way was asked for
    asked: set[int] = field(default_factory=set)
    #: how many more calls it takes
    room: int = 0


@dataclass(frozen=True, slots=True)
class UnfinishedChunks:
    """Consecutive chunks that are cut and not folded."""

    first: int
    stop: int
    #: the last stage that the master has word of; None for chunks that were not sent
    stage: Stage | None
    node_id: str | None
    worker_id: str | None
    #: how often they were sent
    attempt: int


class Candidates(Sequence[NodeCandidate]):
    """The nodes that take another call, sorted by id; each is made when it is looked at."""

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
    """Batches in flight, by id, and the nodes of the run.

    What is asked for with every event is kept, not counted: with a thousand nodes a look at each would be the master's
    whole work.
    """

    calls_per_worker: int
    #: seconds between two collections of a node, at least
    collect_interval: float
    nodes: dict[str, Node] = field(default_factory=dict)
    batches: dict[int, InFlightBatch] = field(default_factory=dict)
    #: bytes that the batches weigh
    weight: int = 0
    workers: int = 0
    #: how many more calls the nodes take
    credits: int = 0
    #: chunks whose results workers hold
    held_chunks: int = 0

    #: ids of the nodes that take another call, sorted
    _open: list[str] = field(default_factory=list)
    #: nodes that may be worth a collection: with a result since the last one, with doubts, and, by the time at which
    #: they are due, all others that hold something
    _fresh: set[str] = field(default_factory=set)
    _doubtful: set[str] = field(default_factory=set)
    _due: list[tuple[float, str]] = field(default_factory=list)
    #: seconds that it took to merge a chunk of the last partial
    _merge_seconds: float = 0.0
    #: monotonic seconds before which nodes are not hastened again
    _hasten_at: float = 0.0
    #: batches that the user wants again, by id
    _wanted: dict[int, InFlightBatch] = field(default_factory=dict)
    #: of chunks that are not folded and were given to a second worker: how many batches have them beyond one
    _spare: Counter[int] = field(default_factory=Counter)

    def candidates(self) -> Candidates:
        """Return the nodes that take another call, sorted by id."""
        return Candidates(self.nodes, self._open)

    def join(self, node_id: str, worker_id: str, *, on_master: bool, ahead: int) -> None:
        """A worker takes part."""
        node = self.nodes.setdefault(node_id, Node(node_id, on_master, ahead, pause=self.collect_interval))
        self.workers += worker_id not in node.workers
        node.workers.add(worker_id)
        self._count(node)

    def leave(self, node: Node, worker_id: str) -> None:
        """A worker takes part no more."""
        node.workers.discard(worker_id)
        self.workers -= 1
        self._count(node)

    def lose(self, node_id: str) -> list[InFlightBatch]:
        """A node is gone; returns what was on it."""
        node = self.nodes[node_id]
        self.workers -= len(node.workers)
        node.workers.clear()
        self._count(node)
        self._fresh.discard(node_id)
        del self.nodes[node_id]
        return [sent for sent in self.batches.values() if sent.node_id == node_id]

    def _count(self, node: Node) -> None:
        """Count again what a node takes, after anything about it has changed."""
        room = max(0, len(node.workers) * (self.calls_per_worker + node.ahead) - node.calls)
        self.credits += room - node.room
        if room and not node.room:
            insort(self._open, node.node_id)
        elif node.room and not room:
            del self._open[bisect_left(self._open, node.node_id)]
        node.room = room

    def send(self, batch: Batch, node_id: str, now: float) -> None:
        sent = InFlightBatch(batch, node_id, now, sum([chunk.weight for chunk in batch.chunks]))
        self.batches[batch.batch_id] = sent
        node = self.nodes[node_id]
        node.calls += 1
        node.chunks += len(batch)
        self._count(node)
        self.weight += sent.weight

    def answer(self, sent: InFlightBatch) -> None:
        """The call of a batch has ended; its node takes another one."""
        if not sent.answered:
            sent.answered = True
            if (node := self.nodes.get(sent.node_id)) is not None:
                node.calls -= 1
                self._count(node)

    def hold(self, sent: InFlightBatch, worker_id: str, now: float) -> None:
        """A worker holds the result of a batch."""
        sent.worker_id = worker_id
        node = self.nodes[sent.node_id]
        if not node.held:
            self._set_due(node, now + node.pause)
        node.held += 1
        self.held_chunks += len(sent.batch)
        node.fresh = True
        self._fresh.add(node.node_id)

    def close(self, sent: InFlightBatch) -> None:
        """A batch is not in flight any more."""
        self.answer(sent)
        del self.batches[sent.batch.batch_id]
        self.weight -= sent.weight
        self.held_chunks -= len(sent.batch) if sent.worker_id is not None else 0
        if (node := self.nodes.get(sent.node_id)) is not None:
            node.chunks -= len(sent.batch)
            node.held -= sent.worker_id is not None

    def doubt(self, sent: InFlightBatch) -> bool:
        """Wait with a batch whose answer was lost until its node has handed out what it holds; says whether it can.

        Done twice, its chunks would take all that is handed out with them along when the second result is dropped.
        """
        if (node := self.nodes.get(sent.node_id)) is None:
            return False
        self.answer(sent)
        node.doubts.add(sent.batch.batch_id)
        self._doubtful.add(node.node_id)
        return True

    def ask(self, node: Node) -> None:
        """A node is asked for what its workers hold."""
        node.collecting, node.fresh = True, False
        node.asked, node.doubts = node.asked | node.doubts, set()
        self._fresh.discard(node.node_id)

    def collected(self, node_id: str, now: float, seconds: float) -> list[InFlightBatch]:
        """A node has handed out what it held, which took it some seconds.

        Returns the batches in doubt whose results were not among it.
        """
        if (node := self.nodes.get(node_id)) is None:
            return []
        asked, node.asked = node.asked, set()
        node.collecting = False
        node.seconds = seconds
        node.pause = self._pause(node)
        if node.held:
            self._set_due(node, now + node.pause)
        return [self.batches[batch_id] for batch_id in sorted(asked) if batch_id in self.batches]

    def hasten(self, now: float, seconds_left: float) -> None:
        """Let all nodes hand out what they hold if merging that takes longer than all work that is left.

        Then it is merged while the rest is done, and not when the workers have nothing to do any more.
        """
        seconds = self.held_chunks * self._merge_seconds
        if now >= self._hasten_at and 0 < seconds_left < seconds:
            self._hasten_at = now + max(self.collect_interval, seconds)
            for node in self.nodes.values():
                if node.held:
                    self._set_due(node, now)

    def merged(self, node_id: str, chunks: int, seconds: float, *, growing: bool) -> None:
        """What a node has handed out was merged, which took the master some seconds; the result grew with it or not."""
        self._merge_seconds = seconds / chunks
        if (node := self.nodes.get(node_id)) is not None:
            node.seconds += seconds
            node.growing = growing
            before, node.pause = node.pause, self._pause(node)
            if node.held:
                self._set_due(node, node.due_at + node.pause - before)

    def _pause(self, node: Node) -> float:
        share = max(len(self.nodes), 1 if node.growing else _COLLECT_SHARE)
        return max(self.collect_interval, min(share * node.seconds, _MOST_COLLECT_SECONDS))

    def _set_due(self, node: Node, due_at: float) -> None:
        node.due_at = due_at
        heappush(self._due, (due_at, node.node_id))

    def stragglers(self, now: float, limit: Callable[[Batch], float]) -> list[InFlightBatch]:
        """Return what is worth giving to a second worker, in the order of its chunks.

        That is calls that take longer than their limit, and what their workers may hold, because that comes only
        when the call has ended.
        """
        late = [sent for sent in self if not sent.answered and now - sent.sent_at > limit(sent.batch)]
        late_nodes = {sent.node_id for sent in late}
        stuck = {node.node_id for node in self.nodes.values() if not (node.collecting or node.fresh)} & late_nodes
        held = [sent for sent in self if sent.worker_id is not None and sent.node_id in stuck]
        return sorted((s for s in late + held if not s.copied), key=lambda sent: sent.batch.first)

    def want_again(self, chunk_ids: frozenset[int], now: float) -> None:
        """Note that the user wants chunks again; what workers hold of them is collected at once."""
        for sent in self.batches.values():
            if chunk_ids.isdisjoint(chunk.chunk_id for chunk in sent.batch.chunks):
                continue
            self._wanted[sent.batch.batch_id] = sent
            if sent.worker_id is not None and (node := self.nodes.get(sent.node_id)) is not None:
                self._set_due(node, now)

    def wanted(self) -> list[InFlightBatch]:
        """Return what a second worker should do because the user wants it again.

        That is calls that have not ended, and results that a collection left behind, as their worker is busy.
        """
        if not self._wanted:
            return []
        self._wanted = {n: sent for n, sent in self._wanted.items() if n in self.batches and not sent.copied}
        return [sent for sent in self._wanted.values() if not sent.answered or self._is_left_behind(sent)]

    def _is_left_behind(self, sent: InFlightBatch) -> bool:
        node = self.nodes.get(sent.node_id)
        return sent.worker_id is not None and node is not None and not (node.collecting or node.fresh)

    def copy(self, sent: InFlightBatch, batch_id: int) -> Batch:
        """Return the batch that gives the chunks of another one to a second worker."""
        sent.copied = True
        self._spare.update(chunk.chunk_id for chunk in sent.batch.chunks)
        return Batch(batch_id, sent.batch.history.speculated(), sent.batch.chunks)

    def lone(self, chunks: list[Chunk]) -> list[Chunk]:
        """Return those chunks of a lost batch that no other batch has.

        Sent again, the others would be done twice, and every result that holds a chunk twice is dropped with all that
        came with it.
        """
        if not self._spare:
            return chunks
        alone = [chunk for chunk in chunks if not self._spare[chunk.chunk_id]]
        self._spare -= Counter(chunk.chunk_id for chunk in chunks)
        return alone

    def settle(self, first: int, stop: int) -> None:
        """The chunks of a span are folded: who else has them does not matter any more."""
        if self._spare:
            for chunk_id in range(first, stop):
                self._spare.pop(chunk_id, None)

    def held_by(self, worker_id: str) -> list[InFlightBatch]:
        return [sent for sent in self.batches.values() if sent.worker_id == worker_id]

    def collectable(self, now: float, *, fresh: bool) -> list[Node]:
        """Return the nodes that may be worth a collection, with `fresh` also those with a result since their last."""
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
        """Return the chunks in flight, with how far the master has word of them."""
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
