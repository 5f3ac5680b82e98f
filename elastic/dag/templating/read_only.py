"""Read-only views: what templates see in place of live objects."""

import inspect
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import MappingProxyType
from typing import Any
from uuid import UUID

#: What a template may hold as it is: it cannot be changed, and no way leads from it to anything else.
_PLAIN = (
    str, bytes, int, float, complex, bool, type(None), date, datetime, time, timedelta, tzinfo, Decimal, Fraction,
    UUID, PurePath, range,
)  # fmt: skip


class ReadOnlyView:
    """Named facts, as `view.name` or `view["name"]`; nothing else is there.

    Args:
        name: What it prints as.
        facts: The names and what they stand for. Values become views themselves, functions stay functions: whoever
            makes a view chooses which functions it has.
    """

    __slots__ = ("_facts", "_name")

    def __init__(self, name: str, facts: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_facts", MappingProxyType(dict(facts)))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self._name} has no {name!r}") from None

    def __getitem__(self, name: str) -> Any:
        value = self._facts[name]
        return value if inspect.isroutine(value) else read_only(value, f"{self._name}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._name} cannot be changed by a template")

    def __contains__(self, name: object) -> bool:
        return name in self._facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact, or `default` if there is none."""
        return self[name] if name in self._facts else default

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._facts)

    def values(self) -> list[Any]:
        """Return what the names stand for."""
        return [self[name] for name in self._facts]

    def items(self) -> list[tuple[str, Any]]:
        """Return names with what they stand for."""
        return [(name, self[name]) for name in self._facts]

    def __str__(self) -> str:
        return str(self._name)

    __repr__ = __str__


class _Object(ReadOnlyView):
    """Public attributes of an object or a module, read when they are asked for."""

    __slots__ = ()

    def __init__(self, name: str, thing: Any) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_facts", _Attributes(thing))


class _Attributes(Mapping[str, Any]):
    """The attributes of an object whose names do not begin with `_`, without functions, classes and modules."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __getitem__(self, name: str) -> Any:
        if not isinstance(name, str) or name.startswith("_"):
            raise KeyError(name)
        try:
            value = getattr(self._thing, name)
        except AttributeError:
            raise KeyError(name) from None
        if callable(value) or inspect.ismodule(value):
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in dir(self._thing) if not name.startswith("_") and name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_only(value: Any, name: str) -> Any:
    """Return a value as a template may see it: plain values as they are, collections as copies, the rest as views."""
    if isinstance(value, ReadOnlyView) or type(value) in _PLAIN or isinstance(value, datetime | timedelta | tzinfo):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: read_only(one, f"{name}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        copied = [read_only(one, f"{name}[{index}]") for index, one in enumerate(value)]
        return tuple(copied) if isinstance(value, tuple) else copied
    return value if isinstance(value, _PLAIN) else _Object(name, value)
