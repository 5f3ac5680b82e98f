"""Emit: passes results to a function as they arrive, and stores nothing.

Nothing: tracks completion without a result.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from elastic.aggregators.states.validation import read_state
from elastic.core.callables import check_plain
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import pack
from elastic.core.errors import UsageError


class Emit(Aggregator[Any, "list[Any] | None", None]):
    """Aggregator that passes entries to a function in the master's process; the result of the flow is None.

    A worker collects the entries of some chunks. When they arrive, the thread that runs the flow calls `receive` once
    with the list of them, but not with an empty list. After a crash of the master, `receive` gets the entries since the
    last commit again.

    The function stays in the process that made the flow and is not sent to workers, so it may use objects that cannot
    be sent, such as an open file.

    Args:
        receive: Gets a list of entries. An exception ends the step.
        ordered: Receive entries in the order of the source instead of as they arrive.

    Raises:
        UsageError: `receive` is not callable.
    """

    stored = False

    def __init__(self, receive: Callable[[list[Any]], object], *, ordered: bool = False) -> None:
        if not callable(receive):
            raise UsageError(f"Emit got {receive!r}; pass a function of a list of entries")
        check_plain("Emit", receive)
        self.receive = receive
        self.ordered = ordered

    def create(self) -> list[Any] | None:
        """Return None, the state that passes entries on; a list, even an empty one, is a state that only collects.

        So a node can merge the entries of its workers without calling `receive`.
        """
        return None

    def add(self, state: list[Any] | None, entry: Any) -> list[Any]:
        return [*(state or ()), entry]

    def add_many(self, state: list[Any] | None, entries: Iterable[Any]) -> list[Any]:
        waiting = [] if state is None else state
        waiting.extend(entries)
        return waiting

    def merge(self, state: list[Any] | None, other: list[Any] | None) -> list[Any] | None:
        if other is None:
            return state
        if state is not None:
            state.extend(other)
            return state
        if other:
            self.receive(other)
        return None

    def finish(self, state: list[Any] | None) -> None:
        return None

    def encode(self, state: list[Any] | None) -> bytes:
        return pack(state)

    def decode(self, data: bytes) -> list[Any] | None:
        waiting: list[Any] | None = read_state(data, (None, list), self)
        return waiting

    def __getstate__(self) -> dict[str, Any]:
        return {"receive": _not_here, "ordered": self.ordered}


def _not_here(entries: list[Any]) -> None:
    raise UsageError("the function of Emit stayed in another process; create the flow in the process that runs it")


class Nothing(Aggregator[Any, None, None]):
    """Aggregator without a result: all entries are processed and completion is tracked; the result is None."""

    def create(self) -> None:
        return None

    def add(self, state: None, entry: Any) -> None:
        return None

    def add_many(self, state: None, entries: Iterable[Any]) -> None:
        deque(entries, maxlen=0)

    def merge(self, state: None, other: None) -> None:
        return None

    def finish(self, state: None) -> None:
        return None

    def decode(self, data: bytes) -> None:
        read_state(data, None, self)
