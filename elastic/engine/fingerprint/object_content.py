"""What an object and a class consist of, without what Python itself puts there; and whose they are."""

import functools
import re
import sys
import sysconfig
from enum import Enum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

#: Folders of Python and its packages.
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_PACKAGES = {"site-packages", "dist-packages"}

#: What Python puts into a class for its own use as a function or a descriptor; plain data in such names counts as
#: Python's as well.
_NOISE = re.compile(r"__(dict|weakref|annotate\w*|annotations\w*|subclasshook|class_getitem|dataclass\w+)__|_abc_\w+")
_DUNDER = re.compile(r"__\w+__")
#: Names of an enumeration's own bookkeeping: composite flags join there when they are first used.
_ENUM_NOISE = re.compile(r"_[a-z0-9]\w*_|__new__|__new_member__")

#: Modules whose objects keep their state where it cannot be listed, or among caches, but are rebuilt from plain data.
REBUILT = (
    "operator", "datetime", "decimal", "fractions", "uuid", "zoneinfo", "pathlib", "logging", "array", "ipaddress",
    "numpy",
)  # fmt: skip


def is_pythons(kind: type, name: str, value: Any) -> bool:
    """Tell whether Python, and not the user, has put something into a class."""
    if _NOISE.fullmatch(name):
        return True
    if _DUNDER.fullmatch(name):
        if not callable(value) and not hasattr(value, "__get__"):
            return True
        # `typing.Protocol` puts an `__init__` there, and takes it away when the first object is made.
        if getattr(value, "__module__", None) == "typing":
            return True
        inherited = [vars(base)[name] for base in kind.__mro__[1:] if name in vars(base)]
        return bool(inherited) and inherited[0] is value
    return False


def is_bookkeeping(kind: type, name: str, value: Any) -> bool:
    """Tell whether something in an enumeration is a member, or there to find members."""
    if not issubclass(kind, Enum):
        return False
    if isinstance(value, FunctionType | classmethod | staticmethod) and name != "__new__":
        return name == "_generate_next_value_"
    return bool(_ENUM_NOISE.fullmatch(name)) or name in kind.__members__


def held(value: Any) -> dict[str, Any]:
    """Return what an object holds in its attributes, without what it keeps of its own properties."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return {
        name: item
        for name, item in found.items()
        if not _DUNDER.fullmatch(name) and not isinstance(getattr(type(value), name, None), functools.cached_property)
    }


def sent(value: Any) -> Any:
    """Return what an object is when it is sent: what it holds, or what its own `__getstate__` makes of that."""
    kind = type(value)
    if not is_library(kind) and getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None):
        try:
            return value.__getstate__()
        except Exception:  # whatever it is, sending the object will tell
            return held(value)
    return held(value)


def reduced(value: Any) -> tuple[Any, ...] | None:
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # it cannot be rebuilt
        return None
    return tuple(reduced[1:]) if isinstance(reduced, tuple) else (str(reduced),)


def _module_name(value: Any) -> str:
    return str(value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or "")


def is_elastic(value: Any) -> bool:
    return _module_name(value).partition(".")[0] == "elastic"


def is_library(value: Any) -> bool:
    """Tell whether something comes with Python or with an installed package."""
    name = _module_name(value)
    if name.partition(".")[0] == "builtins":
        return True
    # A module that was taken out of the list is one that was loaded from a file.
    path = getattr(sys.modules.get(name), "__file__", None)
    return name in sys.builtin_module_names if path is None else is_of_packages(Path(path))


@functools.lru_cache(maxsize=1024)
def is_of_packages(path: Path) -> bool:
    where = path.resolve()
    return any(map(where.is_relative_to, _LIBRARIES)) or not _PACKAGES.isdisjoint(where.parts)
