"""Ray's serializers for other libraries: the driver imports them early, actors only together with their program.

Before its first message, a Ray process imports Pydantic, Starlette and Arrow, if installed, to register how to pickle
their objects. That takes 0.25 s of every worker's start. Messages between the master and its actors are bytes and
tuples and need none of it. User code that calls Ray inside a worker may need them.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from ray.util import serialization_addons

#: Modules that Ray 2.60 imports, if installed, when it pickles its first object.
_SERIALIZER_MODULES = ("ray._common.pydantic_compat", "starlette.datastructures", "pyarrow.json")

#: A program that has imported one of these modules may pickle its objects through Ray.
_LIBRARIES = ("pydantic.v1", "starlette", "pyarrow")

_register: Callable[[Any], None] = serialization_addons.apply

#: Serialization contexts in which the serializers are not yet registered.
_deferred: list[Any] = []


def import_all() -> None:
    """Import the modules of the serializers; ignore errors, because Ray repeats the import and reports them itself."""
    for name in _SERIALIZER_MODULES:
        with suppress(Exception):
            import_module(name)


def defer_serializer_imports() -> None:
    """Defer the registration of serializers; call this before the process serializes its first object."""
    serialization_addons.apply = _deferred.append


def register_if_needed() -> None:
    """Register the deferred serializers if one of the libraries has been imported meanwhile."""
    if any(map(sys.modules.__contains__, _LIBRARIES)):
        while _deferred:
            _register(_deferred.pop())
