"""Calls to Ray actors that have no reply yet, and the handler of each reply."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray

from elastic.core.ledger.events import NodeLost
from elastic.stages.transport.transport import Arrival

#: Turns the reference of a finished call into the arrivals that the transport reports.
OnReply = Callable[[Any], list[Arrival]]


@dataclass(slots=True)
class PendingCalls:
    """Event queue of a transport: pending Ray calls and arrivals that are already known."""

    #: Handler of each pending call, by its Ray reference.
    _handlers: dict[Any, OnReply] = field(default_factory=dict)
    #: Arrivals for the next `poll`.
    _arrivals: list[Arrival] = field(default_factory=list)

    def add(self, ref: Any, on_reply: OnReply) -> None:
        """Call `on_reply` with the reference of a call once the call has finished."""
        self._handlers[ref] = on_reply

    def report(self, *arrivals: Arrival) -> None:
        """Return arrivals from the next `poll`, which then does not wait."""
        self._arrivals += arrivals

    def poll(self, timeout: float) -> list[Arrival]:
        """Return the arrivals of all finished calls; wait up to `timeout` seconds for the first.

        Lost nodes come last: the master would add a lost node again on a later `WorkerJoined`.
        """
        arrivals, self._arrivals = self._arrivals, []
        refs = list(self._handlers)
        if not refs and not arrivals:
            threading.Event().wait(timeout)
        elif refs and ray.wait(refs, num_returns=1, timeout=0 if arrivals else timeout)[0]:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
            arrivals += [arrival for ref in ready for arrival in self._handlers.pop(ref)(ref)]
        return sorted(arrivals, key=lambda arrival: isinstance(arrival, NodeLost))

    def clear(self) -> None:
        """Drop all calls and arrivals."""
        self._handlers.clear()
        self._arrivals.clear()
