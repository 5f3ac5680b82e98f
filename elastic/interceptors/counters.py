"""Chunks and entries that passed each hop, in numbers."""

from collections import Counter

from elastic.core.contracts.interceptor import Interceptor
from elastic.core.model.failure import Failure
from elastic.core.receipts.receipt import Receipt


class Counters(Interceptor):
    """Counts chunks by hop and node while a step runs; read `chunks` and `entries` at any time."""

    def __init__(self) -> None:
        #: number of chunks by `(action, node that did it)`
        self.chunks: Counter[tuple[str, str]] = Counter()
        #: number of entries in the result, by the node that processed them
        self.entries: Counter[str] = Counter()
        self.failures = 0

    def send(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        self.chunks["sent", host_node] += 1

    def receive(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        self.chunks["received", host_node] += 1
        if action == "merge_processed_result":
            # This receipt is the sender's of the node that did the work.
            self.entries[receipt.node_id] += receipt.entries

    def distributed(self, receipt: Receipt, task_count: int) -> None:
        self.chunks["distributed", receipt.node_id] += 1

    def aggregated(self, receipt: Receipt, task_count: int) -> None:
        self.chunks["aggregated", receipt.node_id] += 1

    def failed(self, failure: Failure) -> None:
        self.failures += 1
