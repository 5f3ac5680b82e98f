"""Ray's serializers for other libraries: the driver imports early what they need, actors only with their program.

Before its first message a process of Ray imports Pydantic, Starlette and Arrow, where they are installed, so as to know
how to pickle their objects: a quarter of a second of every worker's start. Messages between a master and its actors are
bytes and tuples, which take none of it; what user code gives to Ray from inside of a worker may.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from ray.util import serialization_addons

#: What Ray 2.60 imports, where it is installed, when it pickles something for the first time.
_IMPORTED = ("ray._common.pydantic_compat", "starlette.datastructures", "pyarrow.json")

#: Modules of which a program that has them may pickle objects in Ray's way.
_LIBRARIES = ("pydantic.v1", "starlette", "pyarrow")

_register: Callable[[Any], None] = serialization_addons.apply

#: what the serializers are to be registered with
_waiting: list[Any] = []


def import_all() -> None:
    """Import what the serializers need; whatever cannot be imported, Ray does without, or says so itself."""
    for name in _IMPORTED:
        with suppress(Exception):
            import_module(name)


def defer_serializer_imports() -> None:
    """Have none registered when this process begins to serialize; to be called before that."""
    serialization_addons.apply = _waiting.append


def register_if_needed() -> None:
    """Register what was postponed if one of the libraries was imported meanwhile."""
    if any(map(sys.modules.__contains__, _LIBRARIES)):
        while _waiting:
            _register(_waiting.pop())
