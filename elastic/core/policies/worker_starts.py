"""Worker starts: whether a node may start another worker, and whether to give up. No I/O, no clock.

A process that dies during its start says little about its node: a machine may be reclaimed, memory may be short for a
minute. So failed starts never exclude a node; they only make the pauses between the attempts longer.
"""

from dataclasses import dataclass

from elastic.core.backoff import Backoff

#: Seconds of the pause after the first failed start; each further failure doubles it.
_FIRST_PAUSE = 0.25

#: Maximum pause, and maximum time until the first process reports (seconds), and as shares of a short start timeout.
_MAX_PAUSE, _FIRST_PATIENCE = 7.5, 10.0
_MAX_PAUSE_SHARE, _PATIENCE_SHARE = 1 / 4, 1 / 3

#: Share of the start timeout after which a run without a worker warns the user.
_WARNING_SHARE = 1 / 4

#: Maximum time until a process reports, as a multiple of the time that the last one took.
_PATIENCE_FACTOR = 2


@dataclass(slots=True)
class _Node:
    """Start attempts on one node."""

    #: Number of consecutive failed attempts.
    failures: int = 0
    #: Monotonic seconds of the last failure, and of the end of the pause.
    failed_at: float = 0.0
    paused_until: float = 0.0
    #: Maximum seconds until a process reports.
    patience: float = 0.0


class WorkerStarts:
    """Decides, from the starts that succeeded and failed, whether another one may follow.

    All times are monotonic seconds.

    Args:
        start_timeout: Seconds without any worker after which a run gives up.
        now: When the run begins.
    """

    def __init__(self, start_timeout: float, now: float) -> None:
        self.start_timeout = start_timeout
        self._worked_at = now
        self._has_warned = False
        self._nodes: dict[str, _Node] = {}
        #: Number of processes that died during their start since a worker was last alive, and the last of them.
        self._deaths = 0
        self._last_death = ("", "")

    def may_start(self, node_id: str, now: float) -> bool:
        """Return True if a process may be started on a node, False during the pause after a failure."""
        return now >= self._node(node_id).paused_until

    def is_overdue(self, node_id: str, began_at: float, now: float) -> bool:
        """Return True if a started process has been silent for too long, so that another one should be started.

        The process may be frozen, or it may wait for a free CPU; then the second start does no harm.
        """
        return now - began_at > self._node(node_id).patience

    def abandoned(self, node_id: str) -> None:
        """Record that an overdue start was abandoned; the next one has twice the time."""
        self._node(node_id).patience *= 2

    def spoke(self, node_id: str, began_at: float, now: float) -> None:
        """Record the first report of a process."""
        node = self._node(node_id)
        node.patience = max(self._first_patience, min(node.patience, _PATIENCE_FACTOR * (now - began_at)))

    def succeeded(self, node_id: str) -> None:
        """Record that a worker is ready, and reset the failures of its node."""
        node = self._node(node_id)
        node.failures, node.paused_until = 0, 0.0

    def failed(self, node_id: str, reason: str, began_at: float, now: float) -> float:
        """Record that a process died during its start.

        Processes that were started together and died together count as one attempt.

        Returns:
            Seconds until the next attempt.
        """
        node = self._node(node_id)
        if began_at >= node.failed_at:
            node.failures += 1
        node.failed_at = now
        backoff = Backoff(first=_FIRST_PAUSE, longest=min(_MAX_PAUSE, _MAX_PAUSE_SHARE * self.start_timeout))
        pause = backoff.delay(node.failures)
        node.paused_until = now + pause
        self._deaths += 1
        self._last_death = (node_id, reason)
        return pause

    def worked(self, now: float) -> None:
        """Record that at least one worker is alive now."""
        self._worked_at, self._deaths, self._has_warned = now, 0, False

    def should_warn(self, now: float) -> bool:
        """Return True once if no worker has been alive for a quarter of the start timeout."""
        if self._has_warned or self.waited(now) <= _WARNING_SHARE * self.start_timeout:
            return False
        self._has_warned = True
        return True

    def waited(self, now: float) -> float:
        """Return the seconds since a worker was last alive, or since the run began."""
        return now - self._worked_at

    def is_hopeless(self, now: float) -> bool:
        """Return True if no worker has been alive for the whole start timeout."""
        return self.waited(now) > self.start_timeout

    @property
    def deaths(self) -> str | None:
        """Clause on the processes that died during their start since a worker was last alive, or None."""
        if not self._deaths:
            return None
        node_id, reason = self._last_death
        return f"{self._deaths} process(es) died as they started, the last one on node {node_id} ({reason})"

    @property
    def _first_patience(self) -> float:
        return min(_FIRST_PATIENCE, _PATIENCE_SHARE * self.start_timeout)

    def _node(self, node_id: str) -> _Node:
        return self._nodes.setdefault(node_id, _Node(patience=self._first_patience))
