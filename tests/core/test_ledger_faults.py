"""The ledger under a seeded simulator: despite lost, late and duplicate replies, every chunk is folded once."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest

from elastic.core.ledger import events
from elastic.core.ledger.events import Event
from elastic.core.ledger.instructions import CollectNode, Complete, Cut, Drop, Fail, Fold, Instruction, Send
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk import Chunk
from elastic.core.model.partial import BatchReport, Partial
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.engine.placement import LeastOpenReceipts
from tests.core.column_samples import columns_of


@dataclass
class Cluster:
    """Nodes that lose workers, replies and themselves, by a seeded random generator."""

    random: random.Random
    chunks: int
    ordered: bool
    fault: float
    now: float = 0.0
    cut: int = 0
    born: int = 0
    nodes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    held: dict[str, list[BatchReport]] = field(default_factory=lambda: defaultdict(list))
    #: events that will arrive, in no order
    coming: list[Event] = field(default_factory=list)
    #: slow calls: the time of their end, and the events of it
    slow: list[tuple[float, BatchReport, list[Event]]] = field(default_factory=list)
    folded: Counter[int] = field(default_factory=Counter)
    order: list[int] = field(default_factory=list)
    done: bool = False

    def join(self, node_id: str) -> Event:
        worker_id = f"{node_id}/{self.born}"
        self.born += 1
        self.nodes[node_id].add(worker_id)
        return events.WorkerJoined(node_id, worker_id)

    def carry_out(self, instruction: Instruction) -> list[Event]:
        match instruction:
            case Cut(count):
                stop = min(self.cut + count, self.chunks)
                ids = range(self.cut, stop)
                self.cut = stop
                told: list[Event] = [events.ChunksCut(tuple(Chunk(n, (n,), 1, (n, 1)) for n in ids))] if ids else []
                return [*told, events.SourceExhausted()] if stop == self.chunks else told
            case Send():
                self.send(instruction)
            case CollectNode(node_id):
                self.collect(node_id)
            case Fold(partial):
                for report in partial.reports:
                    self.folded.update(range(report.first, report.stop))
                    self.order.extend(range(report.first, report.stop))
                took, growing = self.random.choice([0.0, 0.01, 1.0]), self.random.random() < 0.5
                return [events.PartialMerged(partial.reports[0].node_id, partial.chunks, took, growing)]
            case Complete():
                self.done = True
            case Drop():
                pass
            case Fail(failure):
                raise AssertionError(str(failure))
        return []

    def send(self, send: Send) -> None:
        workers = sorted(self.nodes.get(send.node_id, ()))
        batch = send.batch
        if not workers or self.random.random() < self.fault / 4:
            self.coming.append(events.BatchLost(batch.batch_id, "no answer", may_be_poison=False))
            if not workers or self.random.random() < 0.5:
                return  # else the worker processes the batch, but the reply is lost
        worker_id = self.random.choice(workers)
        report = BatchReport(
            batch_id=batch.batch_id, node_id=send.node_id, worker_id=worker_id, columns=columns_of(batch),
            counted=False, processed=bytes(16),
        )  # fmt: skip
        told: list[Event] = [events.BatchProcessed(batch.batch_id, worker_id, self.random.uniform(1e-4, 0.1))]
        if send.collect:
            told.append(events.PartialReturned(send.node_id, Partial((report,), (b"",), b""), False))
        if self.random.random() < self.fault / 10:
            self.slow.append((self.now + self.random.choice([1, 30, 10_000]), report, told))
        else:
            self.finish(report, told, collected=send.collect)

    def finish(self, report: BatchReport, told: list[Event], *, collected: bool) -> None:
        self.coming += told
        if not collected:
            self.held[report.worker_id].append(report)

    def wake(self) -> None:
        """End the slow calls that are due, if their workers are alive."""
        due = [slow for slow in self.slow if slow[0] <= self.now]
        self.slow = [slow for slow in self.slow if slow[0] > self.now]
        for _, report, told in due:
            if report.worker_id in self.nodes.get(report.node_id, ()):
                self.finish(report, told, collected=self.ordered)

    def collect(self, node_id: str) -> None:
        # A busy worker returns no state.
        busy = {report.worker_id for _, report, _ in self.slow}
        idle = sorted(worker for worker in self.nodes.get(node_id, ()) if worker not in busy)
        reports = [report for worker in idle for report in self.held.pop(worker, ())]
        partial = Partial(tuple(reports), (b"",), b"") if reports else None
        self.coming.append(events.PartialReturned(node_id, partial, True))
        if partial and self.random.random() < self.fault:
            self.coming.append(events.PartialReturned(node_id, partial, False))

    def mishap(self) -> list[Event]:
        """Return the events of random losses in the cluster."""
        if self.random.random() >= self.fault or not self.nodes:
            return []
        node_id = self.random.choice(sorted(self.nodes))
        if self.random.random() < 0.3:
            for worker_id in self.nodes.pop(node_id):
                self.held.pop(worker_id, None)
            return [events.NodeLost(node_id, "it is gone"), self.join(node_id)]
        if not self.nodes[node_id]:
            return [self.join(node_id)]
        worker_id = self.random.choice(sorted(self.nodes[node_id]))
        self.nodes[node_id].discard(worker_id)
        self.held.pop(worker_id, None)
        return [events.WorkerLost(node_id, worker_id, "it died"), self.join(node_id)]


def play(seed: int, *, ordered: bool, fault: float) -> Cluster:
    rng = random.Random(seed)
    cluster = Cluster(rng, chunks=rng.choice([0, 1, 2, 17, 300]), ordered=ordered, fault=fault)
    tuning = EngineTuning(
        collect_interval=0.5, max_chunks_in_flight=rng.choice([8, 64, 65_536]), max_worker_losses=1_000_000
    )
    ledger = Ledger(tuning=tuning, placement=LeastOpenReceipts(), ordered=ordered)
    # The number of chunks is unknown, or the source estimated a wrong one.
    ledger.expected = rng.choice([None, cluster.chunks, cluster.chunks // 2, 2 * cluster.chunks])
    happened: list[Event] = [cluster.join(f"node{n}") for n in range(rng.randint(1, 3)) for _ in range(2)]
    for _ in range(50_000):
        todo = ledger.handle(events.ClockTicked(cluster.now), *happened)
        while todo:
            todo.extend(ledger.handle(*cluster.carry_out(todo.pop(0))))
        if cluster.done:
            return cluster
        cluster.now += 0.05
        cluster.wake()
        rng.shuffle(cluster.coming)
        arriving = rng.randint(0, len(cluster.coming))
        happened = cluster.mishap() + cluster.coming[:arriving]
        cluster.coming = cluster.coming[arriving:]
    raise AssertionError(f"seed {seed} never ends; missing: {ledger.missing()[:5]}")


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("fault", [0.0, 0.05, 0.3])
@pytest.mark.slow
def test_every_chunk_is_folded_exactly_once_whatever_happens(fault: float, *, ordered: bool) -> None:
    for seed in range(60):
        cluster = play(seed, ordered=ordered, fault=fault)
        assert cluster.folded == Counter(range(cluster.chunks)), f"seed {seed}"
        if ordered:
            assert cluster.order == sorted(cluster.order), f"seed {seed}"
