"""What is in flight: batches that were sent and are not folded, and the nodes that have them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from elastic.core.chunk import Batch, Chunk
from elastic.core.placement import Candidate
from elastic.core.stage import Stage


@dataclass(slots=True)
class Sent:
    """A batch that was sent and is not folded."""

    batch: Batch
    node_id: str
    #: monotonic seconds
    sent_at: float
    #: False while its call has not ended
    answered: bool = False
    #: its chunks were given to a second worker as well
    copied: bool = False
    #: the worker that holds its result; None until word of that came
    worker_id: str | None = None

    @property
    def weight(self) -> int:
        return sum(chunk.weight for chunk in self.batch.chunks)


@dataclass(slots=True)
class Node:
    """A node and what was asked of it."""

    node_id: str
    on_master: bool
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
    #: monotonic seconds of the last collection, or of the first result held since
    collected_at: float = 0.0
    #: batches whose answers were lost: a worker may hold their results, and nobody knows which one
    doubts: set[int] = field(default_factory=set)
    #: those of them that the collection under way was asked for
    asked: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Missing:
    """Consecutive chunks that are cut and not folded."""

    first: int
    stop: int
    #: the last stage that the master has word of; None for chunks that were not sent
    stage: Stage | None
    node_id: str | None
    worker_id: str | None
    #: how often they were sent
    attempt: int


@dataclass(slots=True)
class Flight:
    """Batches in flight, by id, and the nodes of the run."""

    calls_per_worker: int
    nodes: dict[str, Node] = field(default_factory=dict)
    batches: dict[int, Sent] = field(default_factory=dict)
    #: bytes that the batches weigh
    weight: int = 0

    @property
    def workers(self) -> int:
        return sum(len(node.workers) for node in self.nodes.values())

    @property
    def credits(self) -> int:
        """How many more calls the nodes take."""
        return sum(max(0, self._room(node)) for node in self.nodes.values())

    def candidates(self) -> list[Candidate]:
        """Return the nodes that take another call, sorted by id."""
        return [
            Candidate(node.node_id, len(node.workers), node.chunks, node.on_master)
            for _, node in sorted(self.nodes.items())
            if self._room(node) > 0
        ]

    def send(self, batch: Batch, node_id: str, now: float) -> None:
        sent = self.batches[batch.batch_id] = Sent(batch, node_id, now)
        node = self.nodes[node_id]
        node.calls += 1
        node.chunks += len(batch)
        self.weight += sent.weight

    def answer(self, sent: Sent) -> None:
        """The call of a batch has ended; its node takes another one."""
        if not sent.answered:
            sent.answered = True
            if (node := self.nodes.get(sent.node_id)) is not None:
                node.calls -= 1

    def hold(self, sent: Sent, worker_id: str, now: float) -> None:
        """A worker holds the result of a batch."""
        sent.worker_id = worker_id
        node = self.nodes[sent.node_id]
        node.collected_at = now if not node.held else node.collected_at
        node.held += 1
        node.fresh = True

    def close(self, sent: Sent) -> None:
        """A batch is not in flight any more."""
        self.answer(sent)
        del self.batches[sent.batch.batch_id]
        self.weight -= sent.weight
        if (node := self.nodes.get(sent.node_id)) is not None:
            node.chunks -= len(sent.batch)
            node.held -= sent.worker_id is not None

    def doubt(self, sent: Sent) -> bool:
        """Wait with a batch whose answer was lost until its node has handed out what it holds; says whether it can.

        Done twice, its chunks would take all that is handed out with them along when the second result is dropped.
        """
        if (node := self.nodes.get(sent.node_id)) is None:
            return False
        self.answer(sent)
        node.doubts.add(sent.batch.batch_id)
        return True

    def ask(self, node: Node) -> None:
        """A node is asked for what its workers hold."""
        node.collecting, node.fresh = True, False
        node.asked, node.doubts = node.asked | node.doubts, set()

    def collected(self, node_id: str, now: float) -> list[Sent]:
        """A node has handed out what it held; returns the batches in doubt whose results were not among it."""
        if (node := self.nodes.get(node_id)) is None:
            return []
        asked, node.asked = node.asked, set()
        node.collecting, node.collected_at = False, now
        return [self.batches[batch_id] for batch_id in sorted(asked) if batch_id in self.batches]

    def stragglers(self, now: float, limit: Callable[[Batch], float]) -> list[Sent]:
        """Return what is worth giving to a second worker, in the order of its chunks.

        That is calls that take longer than their limit, and what their workers may hold, because that comes only
        when the call has ended.
        """
        late = [sent for sent in self if not sent.answered and now - sent.sent_at > limit(sent.batch)]
        late_nodes = {sent.node_id for sent in late}
        stuck = {node.node_id for node in self.nodes.values() if not (node.collecting or node.fresh)} & late_nodes
        held = [sent for sent in self if sent.worker_id is not None and sent.node_id in stuck]
        return sorted((s for s in late + held if not s.copied), key=lambda sent: sent.batch.first)

    def held_by(self, worker_id: str) -> list[Sent]:
        return [sent for sent in self.batches.values() if sent.worker_id == worker_id]

    def on_node(self, node_id: str) -> list[Sent]:
        return [sent for sent in self.batches.values() if sent.node_id == node_id]

    def chunk(self, chunk_id: int) -> Chunk | None:
        """Return a chunk that is in flight."""
        for sent in self.batches.values():
            if sent.batch.first <= chunk_id < sent.batch.stop:
                return sent.batch.chunks[chunk_id - sent.batch.first]
        return None

    def missing(self) -> list[Missing]:
        """Return the chunks in flight, with how far the master has word of them."""
        return [
            Missing(
                sent.batch.first,
                sent.batch.stop,
                Stage.SENT if sent.worker_id is None else Stage.PROCESSED,
                sent.node_id,
                sent.worker_id,
                sent.batch.attempt,
            )
            for sent in self
        ]

    def __iter__(self) -> Iterator[Sent]:
        return iter(self.batches.values())

    def _room(self, node: Node) -> int:
        return len(node.workers) * self.calls_per_worker - node.calls
