"""Interceptor contract: callbacks for every hop of every chunk."""

from typing import final

from elastic.core.model.failure import Failure
from elastic.core.model.step import Progress
from elastic.core.receipts.receipt import Receipt


class Interceptor:
    """Observer of a step; override the callbacks that you need, the others do nothing.

    All callbacks run in the master, one after another. Events on other nodes are reported when their receipts arrive at
    the master. An interceptor cannot change the step. If it raises, Elastic reports the error once and removes it; the
    step continues.

    `receipt` contains the chunk id and the number of entries; `str(receipt)` is its token.
    """

    def step_started(self, progress: Progress) -> None:
        """The step begins; called once."""

    def send(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        """A chunk left `host_node`.

        Args:
            host_node: The node that it left.
            to: `receiver_<node>` of its destination.
            action: `receive_new_parcel` for a chunk on its way to a node, `receive_return_parcel` for its result.
            receipt: Of stage SENT or RETURNED.
        """

    def receive(self, host_node: str, to: str, action: str, receipt: Receipt) -> None:
        """A chunk arrived at `host_node`.

        Args:
            host_node: The node that it reached.
            to: The component that receives it.
            action: `send_parcel_to_master` for a chunk whose result will go back, `merge_processed_result` for a
                result that reached the master.
            receipt: Of stage RECEIVED or RETURNED.
        """

    def distributed(self, receipt: Receipt, task_count: int) -> None:
        """A chunk was handed out; `task_count` chunks have been so far."""

    def aggregated(self, receipt: Receipt, task_count: int) -> None:
        """A chunk was merged into the result; `task_count` chunks have been so far."""

    def failed(self, failure: Failure) -> None:
        """User code, or the source, failed on an entry or a chunk."""

    def progressed(self, progress: Progress) -> None:
        """Report progress; called a few times a second."""

    def task_complete(
        self, receipt: Receipt | None, distributed_count: int, aggregated_count: int, retry_count: int
    ) -> None:
        """Every chunk is aggregated; `receipt` is the last one's, None when the source was empty."""

    def step_ended(self, progress: Progress, error: str | None) -> None:
        """The step ended, well or not; called once. `error` is one sentence."""

    @final
    def step_update(self, receipt: Receipt | None, distributed: int, aggregated: int, retry: int) -> None:
        """Call `task_complete`; override that method, not this one."""
        self.task_complete(receipt, distributed, aggregated, retry)
