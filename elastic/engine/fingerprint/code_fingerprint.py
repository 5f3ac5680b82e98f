"""Code fingerprints: identify the code of a step by its behaviour, not by its location.

A function's fingerprint is BLAKE2b over its instructions, constants, names, defaults, closure and nested functions. It
also covers the functions, classes and constants of plain data in the user's own modules to which the function refers.
It ignores line numbers, file paths, module names, addresses, docstrings, the order of sets, and all that Python adds to
a class or function. Code of Python's library and of installed packages counts by its name only. Elastic's own classes
count by their public name, their parameters and the format of their states, so that a run can be resumed after an
upgrade of Elastic. Instructions are those of one minor version of Python.

This module and its imports need only Python's library, so that a test can run them in any version of Python.
"""

import functools
import re
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial
from hashlib import blake2b
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from elastic.engine.fingerprint.bytecode import FLAGS, Instructions, codes_in
from elastic.engine.fingerprint.object_content import (
    REBUILT,
    attributes_of,
    is_bookkeeping,
    is_elastic,
    is_implicit,
    is_library,
    is_of_packages,
    reduced,
    state_of,
)

#: Version of this definition of fingerprints; only those of the same version can be compared. Version 1 is that of runs
#: without a recorded version.
FINGERPRINT_VERSION = 2

#: Renamed classes, functions and parameters of Elastic: today's name, such as `GroupBy` or `GroupBy.inner`, and the
#: permanent name that fingerprints use. Modules can be renamed without an entry.
PUBLIC_NAMES: dict[str, str] = {"GroupBySum": "SumOfGroups"}

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_LISTED = (str, int, float, bytes)

#: Collections that serve as caches; their content changes as the program runs.
_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)

_LruCache = type(functools.lru_cache(abs))


def python_version() -> str:
    """Return the minor version of Python, whose instructions fingerprints cover."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def public_name(value: Any) -> str:
    """Return the permanent name of a class or function of Elastic in fingerprints."""
    name = str(value.__qualname__)
    return PUBLIC_NAMES.get(name, name)


def fingerprint(code: Any) -> str:
    """Return the fingerprint of a function, of another callable, or of an object with its parameters."""
    hasher = _Hasher()
    hasher.take(code)
    return hasher.hexdigest()


class _Hasher:
    """Visitor that hashes an object and its parts, each once, in an order that is the same in every process."""

    def __init__(self) -> None:
        self._hasher = blake2b(digest_size=16, person=b"code")
        #: visited objects by identity: a number, and the object itself, which must live as long as its id is used
        self._seen: dict[Any, tuple[int, Any]] = {}

    def hexdigest(self) -> str:
        return self._hasher.hexdigest()

    def take(self, value: Any) -> None:
        """Visit any object."""
        if isinstance(value, _PLAIN):
            # Includes the type, because 1, 1.0 and True are equal but not the same.
            self._update(type(value).__name__, ascii(value))
            return
        # Each process decides whether equal immutable constants are one object.
        if not isinstance(value, tuple | frozenset | range | CodeType):
            key = _identity(value)
            if key in self._seen:
                self._update("again", str(self._seen[key][0]))
                return
            self._seen[key] = (len(self._seen), value)
        for kind, visit in _VISITS:
            if isinstance(value, kind):
                visit(self, value)
                return
        self._object(value)

    def _update(self, *words: str) -> None:
        for word in words:
            encoded = word.encode("utf-8", "surrogatepass")
            self._hasher.update(len(encoded).to_bytes(8, "big") + encoded)

    def _all(self, kind: str, values: Any) -> None:
        self._update(kind, str(len(values)))
        for value in values:
            self.take(value)

    def _sequence(self, value: Any) -> None:
        if all(kind in _LISTED for kind in set(map(type, value))):
            self._update(_name(type(value)), ascii(list(value)))  # a faster equivalent for long lists
        else:
            self._all(_name(type(value)), value)

    def _range(self, value: range) -> None:
        self._update(ascii(value))

    def _set(self, value: Any) -> None:
        kinds = set(map(type, value))
        if len(kinds) == 1 and kinds <= set(_LISTED):
            self._update(_name(type(value)), ascii(sorted(value)))
        else:
            self._update(_name(type(value)), *sorted(map(fingerprint, value)))

    def _mapping(self, value: Mapping[Any, Any]) -> None:
        self._update(_name(type(value)), str(len(value)))
        for key, item in sorted(((fingerprint(key), item) for key, item in value.items()), key=lambda pair: pair[0]):
            self._update(key)
            self.take(item)

    def _weak(self, value: Any) -> None:
        self._update(_name(type(value)))

    def _code(self, code: CodeType) -> None:
        found = Instructions(code)
        packed = b"".join(bytes([operation]) + argument.to_bytes(5, "big") for operation, argument in found.listed)
        self._update("code", packed.hex(), code.co_exceptiontable.hex())
        numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & FLAGS)
        for values in (numbers, found.names, code.co_varnames, code.co_freevars, code.co_cellvars, found.constants):
            self._all("of code", tuple(values))

    def _function(self, function: FunctionType) -> None:
        registry = getattr(function, "registry", None)
        if is_elastic(function):
            self._update("elastic", public_name(function))
            self._parameters(function)
        elif is_library(function):
            self._update("library", function.__module__ or "", function.__qualname__)
            self._parameters(function)
        elif isinstance(registry, MappingProxyType) and hasattr(function, "dispatch"):
            # `functools.singledispatch`: its other attributes are caches.
            self._update("single dispatch")
            self._mapping(registry)
        elif is_of_packages(Path(function.__code__.co_filename)):
            # A package's decorator gave it the name of the user's function, which is in its closure.
            self._update("decorated", function.__code__.co_name)
            self._parameters(function)
        else:
            self._users_function(function)

    def _users_function(self, function: FunctionType) -> None:
        self._update("function")
        self.take(function.__code__)
        self.take(function.__defaults__)
        self.take(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                self.take(cell.cell_contents)
            except ValueError:  # the cell is still empty
                self._update("empty")
        for name, value in _referenced(function):
            self._update("refers to", name)
            self.take(value)

    def _parameters(self, function: FunctionType) -> None:
        """Visit the closure of a function that counts by its name."""
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            if _counts(value):
                self.take(value)

    def _method(self, method: MethodType) -> None:
        self._all("method", (method.__func__, method.__self__))

    def _partial(self, value: "partial[Any]") -> None:
        self._all("partial", (value.func, value.args, value.keywords))

    def _cached(self, value: Any) -> None:
        self._update("cached")
        self.take(value.__wrapped__)
        self.take(value.cache_parameters())

    def _builtin(self, function: BuiltinFunctionType) -> None:
        self._update("builtin", function.__qualname__)
        owner = function.__self__
        self.take(owner.__name__ if isinstance(owner, ModuleType) else owner)

    def _module(self, module: ModuleType) -> None:
        self._update("module", module.__name__)

    def _class(self, kind: type) -> None:
        if is_elastic(kind):
            self._update("elastic", public_name(kind), str(getattr(kind, "state_format", 0)))
            return
        self._update("class", kind.__qualname__)
        if is_library(kind):
            self._update(kind.__module__)
            return
        self._all("bases", kind.__bases__)
        if issubclass(kind, Enum):
            self._mapping({name: member.value for name, member in kind.__members__.items()})
        for name, value in sorted(vars(kind).items()):
            if not is_implicit(kind, name, value) and not is_bookkeeping(kind, name, value):
                self._update(name)
                self._member(value)

    def _member(self, value: Any) -> None:
        """Visit an attribute of a class body."""
        if isinstance(value, staticmethod | classmethod):
            self._all(type(value).__name__, (value.__func__,))
        elif isinstance(value, property):
            self._all("property", (value.fget, value.fset, value.fdel))
        elif isinstance(value, functools.cached_property):
            self._all("cached property", (value.func,))
        elif isinstance(value, functools.partialmethod):
            self._all("partial method", (value.func, value.args, value.keywords))
        elif isinstance(value, functools.singledispatchmethod):
            self._all("single dispatch", (value.dispatcher,))
        elif _counts(value) or value is None:
            self.take(value)
        else:
            self._update(_name(type(value)))

    def _enum(self, value: Enum) -> None:
        self._update("enum", str(value.name))
        self.take(type(value))

    def _pattern(self, value: "re.Pattern[Any]") -> None:
        self._all("pattern", (value.pattern, value.flags))

    def _object(self, value: Any) -> None:
        """Visit an object: its class, its name if it is a function written in C, and its attributes."""
        kind = type(value)
        self.take(kind)
        if is_elastic(kind):
            public = {name: item for name, item in attributes_of(value).items() if not name.startswith("_")}
            owner = public_name(kind)
            names = {name: PUBLIC_NAMES.get(f"{kind.__qualname__}.{name}", f"{owner}.{name}") for name in public}
            self._mapping({names[name]: item for name, item in public.items()})
            return
        self._update(ascii(getattr(value, "__qualname__", None) or getattr(value, "__name__", None)))
        if kind.__module__.partition(".")[0] in REBUILT and (made_of := reduced(value)) is not None:
            self._all("made of", made_of)
        elif content := state_of(value):
            self.take(content)


#: Visitor methods by type; the first match applies.
_VISITS: tuple[tuple[type | tuple[type, ...], Callable[[_Hasher, Any], None]], ...] = (
    (Enum, _Hasher._enum),
    (_WEAK, _Hasher._weak),
    ((list, tuple), _Hasher._sequence),
    (range, _Hasher._range),
    ((set, frozenset), _Hasher._set),
    (Mapping, _Hasher._mapping),
    (CodeType, _Hasher._code),
    (FunctionType, _Hasher._function),
    (MethodType, _Hasher._method),
    (partial, _Hasher._partial),
    (_LruCache, _Hasher._cached),
    (BuiltinFunctionType, _Hasher._builtin),
    (ModuleType, _Hasher._module),
    (type, _Hasher._class),
    (re.Pattern, _Hasher._pattern),
)


def _identity(value: Any) -> Any:
    """Return the identity of an object; a function without a closure and its copies share one."""
    if not isinstance(value, FunctionType) or value.__closure__ is not None:
        return id(value)
    defaults = (value.__defaults__ or (), value.__kwdefaults__ or {})
    if not all(map(_is_plain, defaults)):
        return id(value)
    return value.__module__, value.__qualname__, value.__code__, ascii(defaults)


def _referenced(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a function's module that can change its behaviour."""
    space = function.__globals__
    codes = [Instructions(code) for code in codes_in(function.__code__)]
    stored = set[str]().union(*(code.stored for code in codes))  # variables, not constants
    attributes = list(dict.fromkeys(name for code in codes for name in code.names))
    for name in dict.fromkeys(name for code in codes for name in code.globals if name not in stored):
        value = space.get(name)
        if isinstance(value, ModuleType):
            if not is_library(value) and not is_elastic(value):
                inside = ((f"{name}.{inner}", vars(value).get(inner)) for inner in attributes)
                yield from ((path, item) for path, item in inside if _counts(item))
        elif name in space and _counts(value):
            yield name, value


def _counts(value: Any) -> bool:
    return isinstance(value, FunctionType | type | partial | re.Pattern | _LruCache) or (
        value is not None and _is_plain(value)
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    return isinstance(value, dict) and all(map(_is_plain, (*value.keys(), *value.values())))


def _name(kind: type) -> str:
    return kind.__qualname__
