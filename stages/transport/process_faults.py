"""The harm contract: what chaos can do to the processes behind a transport."""

from abc import ABC, abstractmethod
from collections.abc import Callable

#: Chooses one of so many.
Pick = Callable[[int], int]


class ProcessFaults(ABC):
    """Ends and freezes processes of a running step; every method says whether it found one."""

    @abstractmethod
    def kill_or_freeze_worker(self, node_id: str, pick: Pick, *, freeze: bool) -> bool:
        """Kill or freeze a worker of a node; `pick` chooses which one of those that are ready."""

    @abstractmethod
    def kill_station(self, node_id: str) -> bool:
        """Kill the station of a node.

        Returns:
            True when it was a process. False on the master's own node, where the station lives in the master's
            process: there its sender and its receiver are made anew, and what they had in hand is for the caller.
        """

    @abstractmethod
    def kill_node(self, node_id: str) -> bool:
        """Kill all processes of a node at once; never those of the master's own node."""

    @abstractmethod
    def close(self) -> None:
        """End what is frozen still, so that nothing is left behind; may be called twice."""
