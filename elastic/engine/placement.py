"""Placements: ways to choose the node of a batch."""

import difflib
from collections.abc import Sequence

from elastic.core.errors import UsageError
from elastic.core.placement import Candidate, Placement


class RoundRobin(Placement):
    """Each node in turn, the master's own included."""

    def __init__(self) -> None:
        self._last = ""

    def choose(self, candidates: Sequence[Candidate]) -> str | None:
        following = (candidate.node_id for candidate in candidates if candidate.node_id > self._last)
        self._last = next(following, candidates[0].node_id)
        return self._last


class LeastOpenReceipts(Placement):
    """The node with the fewest chunks for each of its workers that have not come back."""

    def choose(self, candidates: Sequence[Candidate]) -> str | None:
        return min(candidates, key=lambda node: (node.open_receipts / node.workers, node.node_id)).node_id


class WorkersOnly(Placement):
    """Each node in turn, but never the master's own."""

    def __init__(self) -> None:
        self._others = RoundRobin()

    def choose(self, candidates: Sequence[Candidate]) -> str | None:
        others = [candidate for candidate in candidates if not candidate.on_master]
        return self._others.choose(others) if others else None


PLACEMENTS: dict[str, type[Placement]] = {
    "round_robin": RoundRobin,
    "least_open_receipts": LeastOpenReceipts,
    "workers_only": WorkersOnly,
}


def placement_of(value: str | Placement | type[Placement]) -> Placement:
    """Return a fresh placement for a name, a class, or an object of the user's own.

    Raises:
        UsageError: It is none of these.
    """
    if isinstance(value, Placement):
        return value
    if isinstance(value, type) and issubclass(value, Placement):
        return value()
    if isinstance(value, str) and value in PLACEMENTS:
        return PLACEMENTS[value]()
    near = difflib.get_close_matches(str(value), PLACEMENTS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"placement {value!r} is not one of {', '.join(PLACEMENTS)} or a Placement class{hint}")
