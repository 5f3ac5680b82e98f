"""ByType: joins entries according to their type."""

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

from elastic.aggregators.exact.exact_add import fold, from_plain, to_plain, with_one_nan_key, with_results
from elastic.aggregators.states.batching import batches
from elastic.aggregators.states.validation import ANY, ListOf, read_state
from elastic.core.contracts.aggregator import Aggregator
from elastic.core.encoding import pack
from elastic.core.errors import UsageError

#: `(kind, value)`; None before the first entry
Typed = tuple[str, Any]

_MAPPINGS = ("mapping", "pairs")
#: kinds whose value is a list that grows
_LISTS = ("list", "text", "bytes", "collected")

#: Shapes of a state as plain data.
_SAVED_SHAPES: tuple[list[Any], ...] = (
    [],
    ["mapping", ANY],
    ["pairs", ANY],
    ["list", list],
    ["text", ListOf(str)],
    ["bytes", ListOf(bytes)],
    ["collected", list],
    ["integer", int],
    ["latest", ANY],
)


class ByType(Aggregator[Any, "Typed | None", Any]):
    """Aggregator that joins entries in the order of the source, according to their type; None without entries.

    =====================================  ===========================================================
    dict                                   merged, the values of a key are added (floats exactly)
    list of pairs `(str, value)`           the same; the result is a list of pairs
    other list                             concatenated
    int                                    added
    str, bytes                             concatenated
    tuple, bool                            collected in a list
    function, or another callable          called; its value is joined according to its type
    anything else                          the latest one
    =====================================  ===========================================================

    All entries of a run must belong to one row of this table; an empty list belongs to both rows of lists. The worker
    that made a callable calls it, without arguments, because it cannot be sent.

    Raises:
        UsageError: Entries belong to different rows.
    """

    ordered = True

    def create(self) -> Typed | None:
        return None

    def add(self, state: Typed | None, entry: Any) -> Typed | None:
        return _join(state, _typed(entry))

    def add_many(self, state: Typed | None, entries: Iterable[Any]) -> Typed | None:
        for batch in batches(entries):
            types = set(map(type, batch))
            if types == {int}:
                state = _join(state, ("integer", sum(batch)))
            elif types == {str}:
                state = _join(state, ("text", batch))
            else:
                for entry in batch:
                    state = _join(state, _typed(entry))
        return state

    def merge(self, state: Typed | None, other: Typed | None) -> Typed | None:
        return state if other is None else _join(state, other)

    def finish(self, state: Typed | None) -> Any:
        if state is None:
            return None
        kind, value = state
        if kind in _MAPPINGS:
            sums = with_results(with_one_nan_key(value))
            return sums if kind == "mapping" else list(sums.items())
        if kind in ("text", "bytes"):
            return ("" if kind == "text" else b"").join(value)
        return value.copy() if kind in _LISTS else value

    def encode(self, state: Typed | None) -> bytes:
        if state is None:
            return pack([])
        kind, value = state
        return pack([kind, to_plain(with_one_nan_key(value)) if kind in _MAPPINGS else value])

    def decode(self, data: bytes) -> Typed | None:
        saved = read_state(data, _SAVED_SHAPES, self)
        if not saved:
            return None
        kind, value = saved
        return kind, from_plain(value, self) if kind in _MAPPINGS else value


def _typed(entry: Any) -> Typed:
    """Return the kind of an entry, and a value of that kind that shares no list or dict with the entry."""
    if isinstance(entry, bool | tuple):
        return "collected", [entry]
    if isinstance(entry, Integral):
        return "integer", int(entry)
    if isinstance(entry, str):
        return "text", [entry]
    if isinstance(entry, bytes):
        return "bytes", [entry]
    if isinstance(entry, Mapping):
        return "mapping", dict(entry)
    if isinstance(entry, list):
        return _typed_list(entry)
    if callable(entry):
        return _typed(entry())
    return "latest", entry


def _typed_list(entry: list[Any]) -> Typed:
    if not entry or not all(isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) for one in entry):
        return "list", [*entry]
    sums: dict[Any, Any] = {}
    fold(sums, entry)
    return "pairs", sums


def _join(state: Typed | None, other: Typed) -> Typed:
    if state is None or (state == ("list", []) and other[0] == "pairs"):
        return other
    if other == ("list", []) and state[0] == "pairs":
        return state
    kind, value = state
    if kind != other[0]:
        raise UsageError(
            f"results of different types cannot be joined ({kind} and {other[0]}); "
            "return the same type for every chunk, or name an aggregator"
        )
    if kind in _MAPPINGS:
        fold(value, other[1].items())
    elif kind in _LISTS:
        value.extend(other[1])
    elif kind == "integer":
        return kind, value + other[1]
    else:
        return other
    return state
