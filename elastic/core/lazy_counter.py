"""Counter that answers from a table of counts, and becomes a plain Counter when it is iterated or changed."""

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

#: Minimum number of keys for a LazyCounter. A plain Counter of fewer keys is filled within 0.1 s.
MIN_LAZY_KEYS = 1 << 17

#: Number of lookups that are answered from the table. Each reads the whole table; filling takes as long as about 50.
_MAX_LOOKUPS = 16

#: Maximum share of the keys that `most_common` reads from the table. Beyond it, filling first is as fast.
_MAX_COMMON_SHARE = 0.01


class CountTable(ABC):
    """Immutable table of distinct strings and their counts, in an order that is the same at each call."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of strings."""

    @abstractmethod
    def total(self) -> int:
        """Return the sum of all counts."""

    @abstractmethod
    def count_of(self, key: str) -> int | None:
        """Return the count of a string, or None if the table does not have it."""

    @abstractmethod
    def most_common(self, number: int) -> list[tuple[str, int]]:
        """Return the first `number` items of `items` sorted by descending count; ties keep their order."""

    @abstractmethod
    def items(self) -> Iterable[tuple[str, int]]:
        """Return all strings with their counts, each once."""


class _Unread:
    """Key that stands for all keys of a LazyCounter that is not filled; whatever uses it fails.

    A function in C that reads the entries of a dict directly, and calls none of its methods, finds this key.
    """

    __slots__ = ("_is_held",)

    def __init__(self) -> None:
        self._is_held = False

    def hold(self) -> "_Unread":
        """Refuse every use from now on."""
        self._is_held = True
        return self

    def _refuse(self, *others: Any) -> Any:
        raise TypeError(
            "this function reads a dict without calling its methods, which a Counter of many words does not support "
            "before it is filled; pass collections.Counter(counts) instead"
        )

    def __hash__(self) -> int:
        return self._refuse() if self._is_held else id(self)

    def __eq__(self, other: object) -> bool:
        return bool(self._refuse())

    __repr__ = __str__ = __bool__ = __int__ = __index__ = __float__ = __iter__ = __len__ = __reduce_ex__ = _refuse
    __add__ = __radd__ = __lt__ = __gt__ = __le__ = __ge__ = __format__ = __bytes__ = __call__ = _refuse


def _filled(name: str) -> Any:
    """Return a method of Counter that fills the counter first."""
    method = getattr(Counter, name)

    @wraps(method)
    def call(self: "LazyCounter", *arguments: Any, **named: Any) -> Any:
        _fill(self)
        return method(self, *arguments, **named)

    return call


@dataclass(slots=True)
class _Unfilled:
    """What a LazyCounter has until it is filled."""

    table: CountTable
    #: number of lookups that the table answered
    lookups: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)


class LazyCounter(Counter[Any]):
    """Counter over a table: it answers `len`, `total`, `most_common(n)` and a few lookups without filling its dict.

    Millions of strings take seconds to become a dict, and most programs want the most common ones only. All other
    methods fill the dict first. The object then is a plain Counter: also its class is.

    Functions in C see the dict of a Counter without its methods. `json`, `dict(...)`, `{**...}`, `PyDict_Copy` and
    `PyDict_Update` call methods of a subclass, provided that its dict is not empty. So the dict has one entry, whose
    key and value refuse every use: other functions, which read the entries directly, raise TypeError.

    Args:
        table: The counts.
    """

    def __init__(self, table: CountTable) -> None:  # not that of Counter, which would count the table
        self._unfilled = _Unfilled(table)
        _mark_unread(self)

    # -- answered from the table

    def __len__(self) -> int:
        held = _held(self)
        return dict.__len__(self) if held is None else len(held.table)

    def total(self) -> int:
        held = _held(self)
        return Counter.total(self) if held is None else held.table.total()

    def most_common(self, n: int | None = None) -> list[tuple[Any, int]]:
        held = _held(self)
        if held is not None and type(n) is int and n <= len(held.table) * _MAX_COMMON_SHARE:
            return held.table.most_common(n) if n > 0 else []
        _fill(self)
        return Counter.most_common(self, n)

    def get(self, key: Any, default: Any = None, /) -> Any:
        found = _look_up(self, key)
        return default if found is None else found

    def __getitem__(self, key: Any) -> Any:
        found = _look_up(self, key)
        return self.__missing__(key) if found is None else found

    def __contains__(self, key: object) -> bool:
        return _look_up(self, key) is not None

    # -- answered by a plain Counter

    __iter__ = _filled("__iter__")
    __reversed__ = _filled("__reversed__")
    keys = _filled("keys")
    values = _filled("values")
    items = _filled("items")
    elements = _filled("elements")

    __setitem__ = _filled("__setitem__")
    __delitem__ = _filled("__delitem__")
    clear = _filled("clear")
    pop = _filled("pop")
    popitem = _filled("popitem")
    setdefault = _filled("setdefault")
    subtract = _filled("subtract")
    update = _filled("update")

    copy = _filled("copy")
    __reduce__ = _filled("__reduce__")
    __repr__ = _filled("__repr__")

    __hash__ = None  # type: ignore[assignment] # as of any dict
    __eq__ = _filled("__eq__")
    __ne__ = _filled("__ne__")
    __lt__ = _filled("__lt__")
    __le__ = _filled("__le__")
    __gt__ = _filled("__gt__")
    __ge__ = _filled("__ge__")

    __add__ = _filled("__add__")
    __sub__ = _filled("__sub__")
    __and__ = _filled("__and__")
    __or__ = _filled("__or__")
    __ror__ = _filled("__ror__")
    __iadd__ = _filled("__iadd__")
    __isub__ = _filled("__isub__")
    __iand__ = _filled("__iand__")
    __ior__ = _filled("__ior__")
    __pos__ = _filled("__pos__")
    __neg__ = _filled("__neg__")


# Functions, because a bound method of a LazyCounter, such as `counts.get`, may be called again once it is a plain one.


def _held(counter: Counter[Any]) -> _Unfilled | None:
    """Return the table of a counter; None if it is filled, perhaps by another thread in this moment."""
    held: _Unfilled | None = counter.__dict__.get("_unfilled")
    return held


def _look_up(counter: Counter[Any], key: Any) -> Any:
    """Return the count of a key, or None."""
    held = _held(counter)
    if held is not None and type(key) is str and held.lookups < _MAX_LOOKUPS:
        held.lookups += 1
        return held.table.count_of(key)
    _fill(counter)
    return dict.get(counter, key)


def _mark_unread(counter: Counter[Any]) -> None:
    key: Any = _Unread()
    dict.__setitem__(counter, key, key)
    key.hold()


def _fill(counter: Counter[Any]) -> None:
    """Make a plain Counter of a LazyCounter; other threads wait until it is one."""
    held = _held(counter)
    if held is None:
        return
    with held.lock:
        if _held(counter) is None:
            return
        try:
            dict.clear(counter)
            dict.update(counter, held.table.items())
        except BaseException:
            dict.clear(counter)
            _mark_unread(counter)
            raise
        counter.__class__ = Counter
        del counter.__dict__["_unfilled"]
