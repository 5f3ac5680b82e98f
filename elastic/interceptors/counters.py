"""Counters of chunks and entries at each hop."""

from collections import Counter

from elastic.core.contracts.interceptor import Interceptor
from elastic.core.model.failure import Failure
from elastic.core.receipts.receipt import Receipt


class Counters(Interceptor):
    """Interceptor that counts chunks by hop and node. The counts can be read while a step runs."""

    def __init__(self) -> None:
        #: number of chunks by `(action, node id)`
        self.chunks: Counter[tuple[str, str]] = Counter()
        #: number of entries in the result, by the node that processed them
        self.entries: Counter[str] = Counter()
        self.failures = 0

    def send(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        self.chunks["sent", host_node] += 1

    def receive(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        self.chunks["received", host_node] += 1
        if action == "merge_processed_result":
            # This receipt is from the sender of the node that processed the chunk.
            self.entries[receipt.node_id] += receipt.entries

    def distributed(self, receipt: Receipt, task_count: int) -> None:
        self.chunks["distributed", receipt.node_id] += 1

    def aggregated(self, receipt: Receipt, task_count: int) -> None:
        self.chunks["aggregated", receipt.node_id] += 1

    def failed(self, failure: Failure) -> None:
        self.failures += 1
