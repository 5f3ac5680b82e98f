"""Read-only views that templates see instead of live objects."""

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

#: Immutable types without references to other objects; templates may use them directly.
_PLAIN = (
    str, bytes, int, float, complex, bool, type(None), date, datetime, time, timedelta, tzinfo, Decimal, Fraction,
    UUID, PurePath, range,
)  # fmt: skip


class ReadOnlyView:
    """Immutable mapping of names to values, as `view.name` or `view["name"]`.

    Args:
        name: The string form of the view.
        values: Values by name. They become views themselves, but functions stay functions, so include only safe ones.
    """

    __slots__ = ("_name", "_values")

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_values", MappingProxyType(dict(values)))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self._name} has no {name!r}") from None

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        return value if inspect.isroutine(value) else read_only(value, f"{self._name}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._name} is read-only in templates")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or `default` if there is none."""
        return self[name] if name in self._values else default

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._values)

    def values(self) -> list[Any]:
        """Return the values."""
        return [self[name] for name in self._values]

    def items(self) -> list[tuple[str, Any]]:
        """Return names and values."""
        return [(name, self[name]) for name in self._values]

    def __str__(self) -> str:
        return str(self._name)

    __repr__ = __str__


class _ObjectView(ReadOnlyView):
    """View of the public attributes of an object or a module, read on access."""

    __slots__ = ()

    def __init__(self, name: str, thing: Any) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_values", _Attributes(thing))


class _Attributes(Mapping[str, Any]):
    """Mapping of the public attributes of an object, without functions, classes and modules."""

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
    """Return a value for templates: immutable values unchanged, collections as copies, other objects as views."""
    if isinstance(value, ReadOnlyView) or type(value) in _PLAIN or isinstance(value, datetime | timedelta | tzinfo):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: read_only(one, f"{name}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        copied = [read_only(one, f"{name}[{index}]") for index, one in enumerate(value)]
        return tuple(copied) if isinstance(value, tuple) else copied
    return value if isinstance(value, _PLAIN) else _ObjectView(name, value)
