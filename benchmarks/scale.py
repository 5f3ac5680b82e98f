"""Cost of the ledger with a simulated cluster of 1,000 nodes and 10,000,000 chunks.

    python benchmarks/scale.py                                     # nodes 10, 100, 1,000; chunks 10^5 to 10^7
    python benchmarks/scale.py --nodes 1000 --chunks 1000000

A simulated cluster drives the real ledger: calls, replies, collections and partial results arrive at simulated times,
and only the work of the master takes real time. The figures cover the ledger, the Merkle tree and the receipt rows of
a commit, but not workers, states and messages. At the end, every chunk must have been merged once.
"""

import argparse
import heapq
import resource
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from elastic.core.ledger import events, instructions
from elastic.core.ledger.events import Event
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk import UNREAD, Batch, Chunk
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.partial import BatchReport, Partial
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.receipts.merkle import InputTree
from elastic.engine.placement import placement_of
from elastic.persistence.run_store.receipt_codec import pack_row

#: Seconds per message, and per chunk on a worker.
LATENCY = 0.001
CHUNK_SECONDS = 0.001

WORKERS_PER_NODE = 8

#: Seconds within which arrivals form one batch of events, as in a poll.
POLL_SECONDS = 0.001


@dataclass(slots=True)
class SimulatedNode:
    """Simulated node: busy workers, and the reports of the batches that they hold."""

    node_id: str
    free_at: list[float] = field(default_factory=lambda: [0.0] * WORKERS_PER_NODE)
    held: list[BatchReport] = field(default_factory=list)


class SimulatedCluster:
    """Simulated cluster that executes instructions and schedules the resulting events."""

    def __init__(self, nodes: int, chunks: int) -> None:
        self.now = 0.0
        self.chunks = chunks
        self._cut = 0
        self._nodes = {name: SimulatedNode(name) for name in (f"node-{number:04}" for number in range(nodes))}
        self._coming: list[tuple[float, int, Event | tuple[SimulatedNode, Batch, str]]] = []
        self._order = 0

    def joined(self) -> list[Event]:
        return [
            events.WorkerJoined(name, f"{name}/{number}") for name in self._nodes for number in range(WORKERS_PER_NODE)
        ]

    def carry_out(self, instruction: instructions.Instruction) -> list[Event]:
        """Execute an instruction and return its immediate events."""
        if isinstance(instruction, instructions.Cut):
            return self._cut_chunks(instruction.count)
        if isinstance(instruction, instructions.Send):
            node = self._nodes[instruction.node_id]
            worker = min(range(WORKERS_PER_NODE), key=node.free_at.__getitem__)
            begin = max(self.now + LATENCY, node.free_at[worker])
            node.free_at[worker] = begin + len(instruction.batch) * CHUNK_SECONDS
            self._come(node.free_at[worker], (node, instruction.batch, f"{node.node_id}/{worker}"))
        elif isinstance(instruction, instructions.CollectNode):
            node = self._nodes[instruction.node_id]
            held, node.held = tuple(node.held), []
            partial = Partial(held, (), b"") if held else None
            self._come(self.now + 2 * LATENCY, events.PartialReturned(node.node_id, partial, collected=True))
        return []

    def arrived(self) -> list[Event]:
        """Advance the time to the next event and return all events that arrive then."""
        self.now = max(self.now, self._coming[0][0]) + POLL_SECONDS
        happened: list[Event] = [events.ClockTicked(self.now)]
        while self._coming and self._coming[0][0] <= self.now:
            _, _, what = heapq.heappop(self._coming)
            happened.append(self._processed(*what) if isinstance(what, tuple) else what)
        return happened

    def _processed(self, node: SimulatedNode, batch: Batch, worker_id: str) -> Event:
        count = len(batch)
        node.held.append(
            BatchReport(
                batch_id=batch.batch_id, node_id=node.node_id, worker_id=worker_id,
                columns=ChunkColumns(batch.first, 1, (0,) * count, (1,) * count, UNREAD * count),
                counted=False, processed=bytes(16),
            )
        )  # fmt: skip
        return events.BatchProcessed(batch.batch_id, worker_id, count * CHUNK_SECONDS)

    def _cut_chunks(self, count: int) -> list[Event]:
        stop = min(self._cut + count, self.chunks)
        chunks = tuple(Chunk(number, (number,), 0, (number, number + 1, 1)) for number in range(self._cut, stop))
        self._cut = stop
        happened: list[Event] = [events.ChunksCut(chunks)] if chunks else []
        return [*happened, events.SourceExhausted()] if stop == self.chunks else happened

    def _come(self, at: float, what: "Event | tuple[SimulatedNode, Batch, str]") -> None:
        self._order += 1
        heapq.heappush(self._coming, (at, self._order, what))


@dataclass(slots=True)
class Journal:
    """Rows that a commit would write for merged partial results."""

    tree: InputTree = field(default_factory=InputTree)
    bytes: int = 0
    seconds: float = 0.0

    def fold(self, partial: Partial) -> None:
        began = time.perf_counter()
        for report in partial.reports:
            row = ReceiptRow(report.columns, report.node_id, report.worker_id, bytes(16), bytes(16))
            self.tree.fold(row)
            self.bytes += len(pack_row(row))
        self.seconds += time.perf_counter() - began


def run(nodes: int, chunks: int) -> None:
    cluster, journal = SimulatedCluster(nodes, chunks), Journal()
    ledger = Ledger(tuning=EngineTuning(), placement=placement_of("round_robin"))
    happened, told, seconds = cluster.joined(), 0, 0.0
    while not ledger.finished:
        todo = deque[instructions.Instruction]()
        while True:
            told += len(happened)
            began = time.perf_counter()
            todo.extend(ledger.handle(*happened))
            seconds += time.perf_counter() - began
            happened = []
            while todo and not happened:
                instruction = todo.popleft()
                happened = cluster.carry_out(instruction)
                if isinstance(instruction, instructions.Fold):
                    journal.fold(instruction.partial)
            if not happened:
                break
        if not ledger.finished:
            happened = cluster.arrived()
    if len(ledger.folded) != chunks or len(journal.tree.root(chunks)) != 32:
        raise SystemExit(f"{len(ledger.folded)} of {chunks} chunks were merged")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = (
        f"{nodes:,}", f"{chunks:,}", f"{told / seconds:,.0f}", f"{seconds / chunks * 1e6:.2f}",
        f"{journal.seconds / chunks * 1e6:.2f}", f"{chunks / (seconds + journal.seconds):,.0f}", f"{memory:.0f} MiB",
        f"{journal.bytes / chunks:.1f}",
    )  # fmt: skip
    print(f"| {' | '.join(figures)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--chunks", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        run(given.nodes[0], given.chunks[0])
        return
    print(
        "| nodes | chunks | events a second | ledger, µs a chunk | tree and rows, µs a chunk | chunks a second |",
        end="",
    )
    print(" peak memory | journal, bytes a chunk |\n" + "| ---: " * 8 + "|")
    for nodes in given.nodes:
        for chunks in given.chunks:
            # A separate process, so that its memory can be measured.
            command = [sys.executable, __file__, "--alone", "--nodes", str(nodes), "--chunks", str(chunks)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
