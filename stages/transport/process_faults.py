"""Contract of fault injection into the processes behind a transport."""

from abc import ABC, abstractmethod
from collections.abc import Callable

#: Returns a number below its argument.
Pick = Callable[[int], int]


class ProcessFaults(ABC):
    """Kills and freezes processes of a running step. Every method returns whether it found one."""

    @abstractmethod
    def kill_or_freeze_worker(self, node_id: str, pick: Pick, *, freeze: bool) -> bool:
        """Kill or freeze a worker of a node; `pick` chooses among the workers that are ready."""

    @abstractmethod
    def kill_station(self, node_id: str) -> bool:
        """Kill the station of a node.

        Returns:
            True if the station was a process. False on the master's own node, where the station is part of the master's
            process: it gets a new sender and a new receiver, and the caller accounts for the calls that they had.
        """

    @abstractmethod
    def kill_node(self, node_id: str) -> bool:
        """Kill all processes of a node at once; never those of the master's own node."""

    @abstractmethod
    def close(self) -> None:
        """Kill frozen processes, so that none is left behind; may be called twice."""
