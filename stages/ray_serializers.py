"""Ray's serializers for other libraries: an actor has them if the program that it runs imports such a library.

Before its first message a process of Ray imports Pydantic, Starlette and Arrow, where they are installed, so as to know
how to pickle their objects: a quarter of a second of every worker's start. Messages between a master and its actors are
bytes and tuples, which take none of it; what user code gives to Ray from inside of a worker may.
"""

import sys
from collections.abc import Callable
from typing import Any

from ray.util import serialization_addons

#: Modules whose objects Ray 2.60 pickles in a way of its own.
_LIBRARIES = ("pyarrow", "pydantic.v1", "starlette")

_register: Callable[[Any], None] = serialization_addons.apply

#: what the serializers are to be registered with
_waiting: list[Any] = []


def postpone() -> None:
    """Have none registered when this process begins to serialize; to be called before that."""
    serialization_addons.apply = _waiting.append


def register_if_needed() -> None:
    """Register what was postponed if one of the libraries was imported meanwhile."""
    if any(map(sys.modules.__contains__, _LIBRARIES)):
        while _waiting:
            _register(_waiting.pop())
