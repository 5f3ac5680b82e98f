"""Placements: policies that choose the node of a batch."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from elastic.core.contracts.placement import NodeCandidate, Placement
from elastic.core.errors import ElasticError, UsageError
from elastic.core.suggest import did_you_mean


class RoundRobin(Placement):
    """Policy that takes each node in turn, including the master's own."""

    def __init__(self) -> None:
        self._last = ""

    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        following = bisect_right(candidates, self._last, key=_node_id)
        self._last = candidates[following % len(candidates)].node_id
        return self._last


class LeastOpenReceipts(Placement):
    """Policy that takes the node with the fewest chunks in flight per worker."""

    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        return min(candidates, key=lambda node: (node.open_receipts / node.workers, node.node_id)).node_id


class WorkersOnly(Placement):
    """Policy that takes each node in turn, except the master's own."""

    def __init__(self) -> None:
        self._round_robin = RoundRobin()

    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        others = [candidate for candidate in candidates if not candidate.on_master]
        return self._round_robin.choose(others) if others else None


PLACEMENTS: dict[str, type[Placement]] = {
    "round_robin": RoundRobin,
    "least_open_receipts": LeastOpenReceipts,
    "workers_only": WorkersOnly,
}


class CheckedPlacement(Placement):
    """Wrapper of another placement that checks its choices."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        #: True if the placement chose no node for the last batch, which then waits
        self.left_chunks_waiting = False

    def choose(self, candidates: Sequence[NodeCandidate]) -> str | None:
        try:
            node_id = self._placement.choose(candidates)
        except ElasticError:
            raise
        except Exception as error:
            raise UsageError(
                f"placement {self} failed ({type(error).__name__}: {error}); correct its method choose."
            ) from error
        if node_id is not None and not _is_among(node_id, candidates):
            nodes = map(_node_id, candidates)
            raise UsageError(
                f"placement {self} chose {node_id!r}, which is not one of its candidates ({', '.join(nodes)}); "
                "return the node_id of one of them, or None to let the batch wait."
            )
        self.left_chunks_waiting = node_id is None
        return node_id

    def __str__(self) -> str:
        return type(self._placement).__name__


def _node_id(candidate: NodeCandidate) -> str:
    return candidate.node_id


def _is_among(node_id: Any, candidates: Sequence[NodeCandidate]) -> bool:
    if not isinstance(node_id, str):
        return False
    at = bisect_left(candidates, node_id, key=_node_id)
    return at < len(candidates) and candidates[at].node_id == node_id


def placement_of(value: str | Placement | type[Placement]) -> Placement:
    """Return the placement for a name, a class or an object; a name or class gives a new one.

    Raises:
        UsageError: There is no such placement.
    """
    if isinstance(value, Placement):
        return value
    if isinstance(value, type) and issubclass(value, Placement):
        try:
            return value()
        except TypeError as error:
            raise UsageError(f"placement {value.__name__} cannot be created ({error}); pass an instance.") from error
    if isinstance(value, str) and value in PLACEMENTS:
        return PLACEMENTS[value]()
    hint = did_you_mean(str(value), PLACEMENTS, f"give one of {', '.join(PLACEMENTS)}, or a class of your own.")
    raise UsageError(f"there is no placement {value!r}; {hint}")
