"""Registry of the user's classes whose objects are plain data.

A registered object travels as the name of its class and the plain data that `encode` returns for it. Reading it calls
the registered `decode` only: bytes never name code to import.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from elastic.core.errors import EncodingError, UsageError
from elastic.core.text import error_text


@dataclass(frozen=True, slots=True)
class RegisteredType:
    """Class of objects that are plain data."""

    kind: type
    #: Name of the class in encoded data.
    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_by_kind: dict[type, RegisteredType] = {}
_by_name: dict[str, RegisteredType] = {}


def register_type(
    cls: type,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
    *,
    name: str | None = None,
) -> type:
    """Make the objects of a class plain data: entries, keys, states and results can contain them.

    Call it where the class is defined, because each process that reads the data needs it; workers get the registered
    types with the flow. Dataclasses, named tuples and enums need no functions, and `register_type` decorates them.

    Args:
        cls: The class; its subclasses are not included.
        encode: Returns plain data for an object, and equal data for equal objects.
        decode: Returns the object for that data.
        name: Name of the class in stored data, by default its qualified name. It must stay the same.

    Returns:
        The class.

    Raises:
        UsageError: The functions are missing, or another class has this name.
    """
    if not isinstance(cls, type):
        raise UsageError(f"register_type takes a class, not {cls!r}.")
    if (encode is None) is not (decode is None) or not all(one is None or callable(one) for one in (encode, decode)):
        raise UsageError(f"register_type({cls.__name__}) takes two functions, encode and decode, or none of them.")
    if encode is None or decode is None:
        encode, decode = _functions_for(cls)
    found = RegisteredType(cls, cls.__qualname__ if name is None else name, encode, decode)
    other = _by_name.get(found.name)
    if other is not None and _place_of(other.kind) != _place_of(cls):
        raise UsageError(
            f"register_type: {'.'.join(_place_of(other.kind))} is registered as {found.name!r} already; "
            "pass another name=."
        )
    _register(found)
    return cls


def registered_type(kind: type) -> RegisteredType | None:
    """Return the registration of a class, or None."""
    return _by_kind.get(kind)


def has_registered_text() -> bool:
    """Return whether a subclass of str is registered, whose objects must not become columns of strings."""
    return any(issubclass(kind, str) for kind in _by_kind)


def write_registered(value: Any) -> list[Any]:
    """Return the plain data of an object whose class is registered.

    Raises:
        EncodingError: The function of the class fails.
    """
    found = _by_kind[type(value)]
    try:
        return [found.name, found.encode(value)]
    except Exception as error:
        reason = f"{type(error).__name__}: {error_text(error)}"
        raise EncodingError(f"the encode function of the registered type {found.name!r} failed ({reason})") from error


def read_registered(plain: Any) -> Any:
    """Return the object that `write_registered` was given.

    Raises:
        EncodingError: Its class is not registered in this process, or the function of the class fails.
    """
    name, data = plain
    found = _by_name.get(name) if isinstance(name, str) else None
    if found is None:
        raise EncodingError(
            f"a value of the type {name!r} cannot be read, because no class is registered by this name; import the "
            "module that calls elastic.register_type"
        )
    try:
        return found.decode(data)
    except Exception as error:
        reason = f"{type(error).__name__}: {error_text(error)}"
        raise EncodingError(f"the decode function of the registered type {name!r} failed ({reason})") from error


class RegisteredTypes:
    """Snapshot of the registered types; loading its pickle registers them in that process."""

    def __reduce__(self) -> tuple[Callable[..., "RegisteredTypes"], tuple[tuple[Any, ...], ...]]:
        return _load, tuple((one.kind, one.name, one.encode, one.decode) for one in _by_name.values())


def _load(*types: tuple[Any, ...]) -> RegisteredTypes:
    for fields in types:
        _register(RegisteredType(*fields))
    return RegisteredTypes()


def _register(found: RegisteredType) -> None:
    for other in (_by_name.get(found.name), _by_kind.get(found.kind)):
        if other is not None:
            _by_name.pop(other.name, None)
            _by_kind.pop(other.kind, None)
    _by_kind[found.kind] = _by_name[found.name] = found


def _place_of(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


def _functions_for(cls: type) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the functions for a class whose objects show their content."""
    if issubclass(cls, Enum):
        return _EnumCodec(cls).encode, _EnumCodec(cls).decode
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return tuple, _FieldsCodec(cls, tuple(cls._fields)).decode_list
    if dataclasses.is_dataclass(cls):
        names = tuple(field.name for field in dataclasses.fields(cls) if field.init)
        others = [field.name for field in dataclasses.fields(cls) if not field.init]
        if others:
            raise UsageError(
                f"register_type({cls.__name__}): the field {others[0]!r} is no argument of the class; pass encode and "
                "decode."
            )
        return _FieldsCodec(cls, names).encode, _FieldsCodec(cls, names).decode
    raise UsageError(f"register_type({cls.__name__}): pass encode and decode, which turn objects into plain data.")


@dataclass(frozen=True, slots=True)
class _EnumCodec:
    """Members of an enum by their names; combined flags, which have no name of their own, by their values."""

    kind: Any

    def encode(self, value: Any) -> Any:
        return value.name if value.name in self.kind.__members__ else [value.value]

    def decode(self, plain: Any) -> Any:
        return self.kind[plain] if isinstance(plain, str) else self.kind(plain[0])


@dataclass(frozen=True, slots=True)
class _FieldsCodec:
    """Objects by the values of their fields."""

    kind: Any
    names: tuple[str, ...]

    def encode(self, value: Any) -> Any:
        return {name: getattr(value, name) for name in self.names}

    def decode(self, plain: Any) -> Any:
        return self.kind(**plain)

    def decode_list(self, plain: Any) -> Any:
        # Not `_make`, which a subclass may override; the number of values is checked by the class.
        return self.kind(*plain)
