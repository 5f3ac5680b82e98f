"""Content of objects and classes without the parts that Python adds, and their owner: Elastic, a library, the user."""

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

#: Names of functions and descriptors that Python adds to a class. Plain data under a dunder name counts as Python's
#: too.
_IMPLICIT = re.compile(
    r"__(dict|weakref|annotate\w*|annotations\w*|subclasshook|class_getitem|dataclass\w+)__|_abc_\w+"
)
_DUNDER = re.compile(r"__\w+__")
#: Names that an enumeration adds for itself; it registers composite flags at their first use.
_ENUM_IMPLICIT = re.compile(r"_[a-z0-9]\w*_|__new__|__new_member__")

#: Modules whose objects hide their state, or mix it with caches, but can be rebuilt from plain data.
REBUILT = (
    "operator", "datetime", "decimal", "fractions", "uuid", "zoneinfo", "pathlib", "logging", "array", "ipaddress",
    "numpy",
)  # fmt: skip


def is_implicit(kind: type, name: str, value: Any) -> bool:
    """Return whether Python, and not the user, added an attribute to a class."""
    if _IMPLICIT.fullmatch(name):
        return True
    if _DUNDER.fullmatch(name):
        if not callable(value) and not hasattr(value, "__get__"):
            return True
        # `typing.Protocol` adds an `__init__`, and removes it when the first object is created.
        if getattr(value, "__module__", None) == "typing":
            return True
        inherited = [vars(base)[name] for base in kind.__mro__[1:] if name in vars(base)]
        return bool(inherited) and inherited[0] is value
    return False


def is_bookkeeping(kind: type, name: str, value: Any) -> bool:
    """Return whether an attribute of an enumeration is a member or serves to find members."""
    if not issubclass(kind, Enum):
        return False
    if isinstance(value, FunctionType | classmethod | staticmethod) and name != "__new__":
        return name == "_generate_next_value_"
    return bool(_ENUM_IMPLICIT.fullmatch(name)) or name in kind.__members__


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, without values cached by `functools.cached_property`."""
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


def state_of(value: Any) -> Any:
    """Return the state in which an object is sent: that of its own `__getstate__`, or its attributes."""
    kind = type(value)
    if not is_library(kind) and getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None):
        try:
            return value.__getstate__()
        except Exception:  # sending the object will raise the same error
            return attributes_of(value)
    return attributes_of(value)


def reduced(value: Any) -> tuple[Any, ...] | None:
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # the object cannot be rebuilt
        return None
    return tuple(reduced[1:]) if isinstance(reduced, tuple) else (str(reduced),)


def _module_name(value: Any) -> str:
    return str(value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or "")


def is_elastic(value: Any) -> bool:
    return _module_name(value).partition(".")[0] == "elastic"


def is_library(value: Any) -> bool:
    """Return whether an object comes with Python or with an installed package."""
    name = _module_name(value)
    if name.partition(".")[0] == "builtins":
        return True
    # A module that is not in `sys.modules` was loaded from a file of the user.
    path = getattr(sys.modules.get(name), "__file__", None)
    return name in sys.builtin_module_names if path is None else is_of_packages(Path(path))


@functools.lru_cache(maxsize=1024)
def is_of_packages(path: Path) -> bool:
    where = path.resolve()
    return any(map(where.is_relative_to, _LIBRARIES)) or not _PACKAGES.isdisjoint(where.parts)
