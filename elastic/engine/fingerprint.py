"""Fingerprints: which code a step consists of, told by what it does and not by where it lies.

A function's fingerprint is BLAKE2b over its bytecode, constants, names, defaults, closure and nested functions, and
over what it refers to in the user's own modules: functions, classes, and constants made of plain data. Line numbers,
file paths, module names, addresses and the order of sets do not matter. What comes from Python's library or from
installed packages counts by its name only; bytecode is that of one minor version of Python.
"""

import re
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from hashlib import blake2b
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from elastic.aggregators.group_by import SumOfGroups
from elastic.core.aggregator import AnyAggregator
from elastic.engine.step import Step

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_LISTED = (str, int, float, bytes)

#: Folders of Python and its packages.
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_PACKAGES = {"site-packages", "dist-packages"}

#: What a class has for Python's own use, and which may differ from process to process.
_NOISE = re.compile(
    r"__(module|dict|weakref|doc|annotations|firstlineno|static_attributes|qualname|parameters|orig_bases|slots"
    r"|annotate\w*|annotations_cache|abstractmethods|dataclass_params|dataclass_fields|match_args)__|_abc_impl"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A function, or an aggregator, of a step."""

    #: what it is for and what it is called, such as `map(parse)`
    label: str
    #: 16 bytes as hex
    digest: str


def parts_of(step: Step) -> tuple[Part, ...]:
    """Return the fingerprints of all code of a step: its transforms in order, its aggregator, its other functions."""
    parts = [
        Part(f"{transform.verb}({_label(transform.function)})", fingerprint(transform.function))
        for transform in step.transforms
    ]
    parts.append(Part(f"aggregate({_kind(step.aggregator)})", fingerprint(step.aggregator)))
    others = {"trim": step.options.trim, "window": getattr(step.source, "window", None)}
    parts += [Part(f"{name}({_label(given)})", fingerprint(given)) for name, given in others.items() if given]
    return tuple(parts)


def python_version() -> str:
    """Return the version of Python whose bytecode the fingerprints are about."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def fingerprint(code: Any) -> str:
    """Return the fingerprint of a function, of another callable, or of an object with its parameters."""
    walk = _Walk()
    walk.take(code)
    return walk.hexdigest()


def _kind(aggregator: AnyAggregator) -> str:
    # The user wrote a GroupBy, and is told of one.
    return str(aggregator) if isinstance(aggregator, SumOfGroups) else type(aggregator).__name__


class _Walk:
    """Visits an object and all that it consists of, each part once, in an order that every process has."""

    def __init__(self) -> None:
        self._hasher = blake2b(digest_size=16, person=b"code")
        #: what was visited: its number, and the object, which must live as long as its id is used
        self._seen: dict[int, tuple[int, Any]] = {}

    def hexdigest(self) -> str:
        return self._hasher.hexdigest()

    def take(self, value: Any) -> None:
        """Visit anything."""
        if isinstance(value, _PLAIN):
            # The type as well: 1, 1.0 and True are equal and not the same.
            self._say(type(value).__name__, ascii(value))
            return
        if id(value) in self._seen:
            self._say("again", str(self._seen[id(value)][0]))
            return
        self._seen[id(value)] = (len(self._seen), value)
        for kind, visit in _VISITS:
            if isinstance(value, kind):
                visit(self, value)
                return
        self._object(value)

    def _say(self, *words: str) -> None:
        for word in words:
            encoded = word.encode("utf-8", "surrogatepass")
            self._hasher.update(len(encoded).to_bytes(8, "big") + encoded)

    def _all(self, kind: str, values: Any) -> None:
        self._say(kind, str(len(values)))
        for value in values:
            self.take(value)

    def _sequence(self, value: Any) -> None:
        if all(kind in _LISTED for kind in set(map(type, value))):
            self._say(_name(type(value)), ascii(list(value)))  # the same for a long list, in less time
        else:
            self._all(_name(type(value)), value)

    def _range(self, value: range) -> None:
        self._say(ascii(value))

    def _set(self, value: Any) -> None:
        kinds = set(map(type, value))
        if len(kinds) == 1 and kinds <= set(_LISTED):
            self._say(_name(type(value)), ascii(sorted(value)))
        else:
            self._say(_name(type(value)), *sorted(map(fingerprint, value)))

    def _mapping(self, value: Mapping[Any, Any]) -> None:
        self._say(_name(type(value)), str(len(value)))
        for key, item in sorted(((fingerprint(key), item) for key, item in value.items()), key=lambda pair: pair[0]):
            self._say(key)
            self.take(item)

    def _code(self, code: CodeType) -> None:
        self._say("code", code.co_code.hex(), getattr(code, "co_exceptiontable", b"").hex())
        numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        for values in (numbers, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_consts):
            self._all("of code", values)

    def _function(self, function: FunctionType) -> None:
        if _is_library(function):
            self._say("library", function.__module__ or "", function.__qualname__)
            return
        self._say("function")
        self.take(function.__code__)
        self.take(function.__defaults__)
        self.take(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                self.take(cell.cell_contents)
            except ValueError:  # nothing was put into it yet
                self._say("empty")
        for name, value in _referenced(function):
            self._say("refers to", name)
            self.take(value)

    def _method(self, method: MethodType) -> None:
        self._all("method", (method.__func__, method.__self__))

    def _partial(self, value: "partial[Any]") -> None:
        self._all("partial", (value.func, value.args, value.keywords))

    def _builtin(self, function: BuiltinFunctionType) -> None:
        self._say("builtin", function.__qualname__)
        owner = function.__self__
        self.take(owner.__name__ if isinstance(owner, ModuleType) else owner)

    def _module(self, module: ModuleType) -> None:
        self._say("module", module.__name__)

    def _class(self, kind: type) -> None:
        self._say("class", kind.__qualname__)
        if _is_library(kind):
            self._say(kind.__module__)
            return
        self._all("bases", kind.__bases__)
        for name, value in sorted(vars(kind).items()):
            if not _NOISE.fullmatch(name):
                self._say(name)
                self._member(value)

    def _member(self, value: Any) -> None:
        """Visit what stands in the body of a class."""
        if isinstance(value, staticmethod | classmethod):
            self._all(type(value).__name__, (value.__func__,))
        elif isinstance(value, property):
            self._all("property", (value.fget, value.fset, value.fdel))
        elif _counts(value) or value is None:
            self.take(value)
        else:
            self._say(_name(type(value)))

    def _enum(self, value: Enum) -> None:
        self._say("enum", value.name)
        self.take(type(value))

    def _pattern(self, value: "re.Pattern[Any]") -> None:
        self._all("pattern", (value.pattern, value.flags))

    def _object(self, value: Any) -> None:
        """Visit an object: its class, its name if it is a function written in C, and what it holds."""
        self.take(type(value))
        self._say(ascii(getattr(value, "__qualname__", None) or getattr(value, "__name__", None)))
        held = dict(getattr(value, "__dict__", {}))
        for kind in type(value).__mro__:
            slots = vars(kind).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if not name.startswith("__") and hasattr(value, name):
                    held[name] = getattr(value, name)
        if held:
            self._mapping(held)
        elif type(value).__module__ in ("operator", "datetime", "decimal", "fractions", "uuid"):
            # Their state is not in attributes that can be listed; they are rebuilt from plain data.
            self._all("made of", value.__reduce__()[1:])


#: The first that fits counts.
_VISITS: tuple[tuple[type | tuple[type, ...], Callable[[_Walk, Any], None]], ...] = (
    (Enum, _Walk._enum),
    ((list, tuple), _Walk._sequence),
    (range, _Walk._range),
    ((set, frozenset), _Walk._set),
    (Mapping, _Walk._mapping),
    (CodeType, _Walk._code),
    (FunctionType, _Walk._function),
    (MethodType, _Walk._method),
    (partial, _Walk._partial),
    (BuiltinFunctionType, _Walk._builtin),
    (ModuleType, _Walk._module),
    (type, _Walk._class),
    (re.Pattern, _Walk._pattern),
)


def _referenced(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function refers to by name in its module that can change what it does."""
    space = function.__globals__
    names = list(dict.fromkeys(_names(function.__code__)))
    for name in names:
        value = space.get(name)
        if isinstance(value, ModuleType):
            if not _is_library(value):
                inside = ((f"{name}.{inner}", vars(value).get(inner)) for inner in names)
                yield from ((path, item) for path, item in inside if _counts(item))
        elif name in space and _counts(value):
            yield name, value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _counts(value: Any) -> bool:
    return isinstance(value, FunctionType | type | partial | re.Pattern) or (value is not None and _is_plain(value))


def _is_plain(value: Any) -> bool:
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    return isinstance(value, dict) and all(map(_is_plain, (*value.keys(), *value.values())))


def _is_library(value: Any) -> bool:
    """Tell whether something comes with Python, with an installed package, or with Elastic itself."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or ""
    if name.partition(".")[0] in ("elastic", "builtins"):
        return True
    # A module that was taken out of the list is one that somebody loaded from a file.
    path = getattr(sys.modules.get(name), "__file__", None)
    if path is None:
        return name in sys.builtin_module_names
    where = Path(path).resolve()
    return any(map(where.is_relative_to, _LIBRARIES)) or not _PACKAGES.isdisjoint(where.parts)


def _name(kind: type) -> str:
    return kind.__qualname__


def _label(function: Any) -> str:
    """Return what a function is called, without its module and line, which may change."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
