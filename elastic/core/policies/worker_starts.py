"""Worker starts: when a node may start another worker, and when nothing can be started at all. No I/O, no clock.

A process that ends as it starts says little about its node: a machine may be taken back, memory may be short for a
minute. So no number of such ends refuses a node; they only make the pauses between the tries longer.
"""

from dataclasses import dataclass

#: Seconds of the pause after the first start that failed; each further one doubles it.
_FIRST_PAUSE = 0.25

#: The longest pause, and how long a process may take until its first word, as shares of the start timeout.
_MOST_PAUSE_SHARE, _PATIENCE_SHARE = 1 / 4, 1 / 3

#: A process may take so many times as long as the last one that said its first word.
_PATIENCE_FACTOR = 2


@dataclass(slots=True)
class _Node:
    """A node on which workers are started."""

    #: how often in a row it was tried in vain
    failures: int = 0
    #: monotonic seconds of the last failure, and before which there is no other try
    failed_at: float = 0.0
    paused_until: float = 0.0
    #: seconds that a process may take until its first word
    patience: float = 0.0


class WorkerStarts:
    """Decides from the starts that succeeded and failed whether there may be another one.

    All times are monotonic seconds.

    Args:
        start_timeout: Seconds without any worker after which a run gives up.
        now: When the run begins.
    """

    def __init__(self, start_timeout: float, now: float) -> None:
        self.start_timeout = start_timeout
        self._worked_at = now
        self._nodes: dict[str, _Node] = {}
        #: since a worker lived last: how many ended as they started, and the last of them
        self._deaths = 0
        self._last_death = ("", "")

    def may_start(self, node_id: str, now: float) -> bool:
        """Tell whether a process may be started on a node, or there is a pause after one that failed."""
        return now >= self._node(node_id).paused_until

    def is_overdue(self, node_id: str, began_at: float, now: float) -> bool:
        """Tell whether a process that was started has been silent for so long that another one should be tried.

        It may be frozen; or it waits for a free CPU, and then nothing is lost.
        """
        return now - began_at > self._node(node_id).patience

    def abandoned(self, node_id: str) -> None:
        """Record that a start was given up because it was overdue; the next one has twice the time."""
        self._node(node_id).patience *= 2

    def spoke(self, node_id: str, began_at: float, now: float) -> None:
        """Record the first word of a process."""
        node = self._node(node_id)
        node.patience = max(self._first_patience, min(node.patience, _PATIENCE_FACTOR * (now - began_at)))

    def succeeded(self, node_id: str) -> None:
        """Record that a worker is ready: whatever failed before on its node does not count any more."""
        node = self._node(node_id)
        node.failures, node.paused_until = 0, 0.0

    def failed(self, node_id: str, reason: str, began_at: float, now: float) -> float:
        """Record that a process ended as it started.

        Processes that were started together and ended together count as one try.

        Returns:
            Seconds until the next try.
        """
        node = self._node(node_id)
        if began_at >= node.failed_at:
            node.failures += 1
        node.failed_at = now
        most = _MOST_PAUSE_SHARE * self.start_timeout
        pause: float = min(_FIRST_PAUSE * 2.0 ** min(node.failures - 1, 32), most)
        node.paused_until = now + pause
        self._deaths += 1
        self._last_death = (node_id, reason)
        return pause

    def worked(self, now: float) -> None:
        """Record that some worker is ready or at work at this moment."""
        self._worked_at, self._deaths = now, 0

    def is_hopeless(self, now: float) -> bool:
        """Tell whether there has been no worker for the whole start timeout."""
        return now - self._worked_at > self.start_timeout

    @property
    def deaths(self) -> str | None:
        """Say how many processes ended as they started since there was a worker, and how; None when none did."""
        if not self._deaths:
            return None
        node_id, reason = self._last_death
        return f"{self._deaths} process(es) died as they started, the last one on node {node_id} ({reason})"

    @property
    def _first_patience(self) -> float:
        return _PATIENCE_SHARE * self.start_timeout

    def _node(self, node_id: str) -> _Node:
        return self._nodes.setdefault(node_id, _Node(patience=self._first_patience))
