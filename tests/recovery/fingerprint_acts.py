"""Code that Python changes while it runs, and operations on it; a test runs this in several versions of Python.

Run as `fingerprint_acts.py FOLDER_OF_ELASTIC CLOUDPICKLE_MODULE`: prints JSON, by sample and by act the fingerprint
after the act. The first act is none.
"""

import abc
import contextlib
import copy
import enum
import functools
import importlib.util
import json
import logging
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
COUNT = 0
helper_limit = 3


class Custom:
    """A class without anything."""

    limit = 3

    def __call__(self, entry: int) -> int:
        return entry + self.limit


class Slotted(Custom):
    __slots__ = ("extra",)

    def __init__(self) -> None:
        self.extra = 5


class Named(Protocol):
    def name(self) -> str: ...


class Nameable(Named):
    def name(self) -> str:
        return "n"

    def __call__(self, entry: int) -> int:
        return entry


class Abstract(abc.ABC):
    @abc.abstractmethod
    def __call__(self, entry: int) -> int: ...


class Concrete(Abstract):
    def __call__(self, entry: int) -> int:
        isinstance(entry, Abstract)
        return entry + 1


@Abstract.register
class Registered(Generic[T]):
    def __call__(self, entry: T) -> T:
        return entry


@dataclass(frozen=True)
class Scale:
    factor: int = 2
    names: frozenset[str] = field(default_factory=lambda: frozenset({"x", "y"}))

    @functools.cached_property
    def squared(self) -> int:
        return self.factor**2

    def __call__(self, entry: int) -> int:
        return entry * self.squared


class Place(NamedTuple):
    row: int = 1

    def __call__(self, entry: int) -> int:
        return entry + self.row


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2
    RUN = 4

    def __call__(self, entry: int) -> int:
        return entry | (Access.READ | Access.RUN)


class Caching:
    def __init__(self) -> None:
        self.memory: dict[int, int] = {}
        self.log = logging.getLogger("caching")

    def __call__(self, entry: int) -> int:
        self.log.debug("one")
        return self.memory.setdefault(entry, entry + 1)

    def __getstate__(self) -> dict[str, Any]:
        return {"memory": {}, "log": self.log}


class Beside:
    def __init__(self) -> None:
        self.path = Path("a") / "b"

    @functools.lru_cache  # noqa: B019 - that is what is tried
    def __call__(self, entry: int) -> int:
        return entry + len(str(self.path)) + hash(self.path) * 0


@functools.lru_cache
def cached(entry: int) -> int:
    return entry + helper(entry)


@functools.singledispatch
def dispatched(entry: Any) -> Any:
    return entry


@dispatched.register
def _(entry: int) -> int:
    return entry + 2


@dispatched.register
def _(entry: Abstract) -> int:
    return 3


def helper(entry: int) -> int:
    """Help."""
    return entry + 1


def counted(entry: int) -> int:
    global COUNT
    COUNT += 1
    return entry


def attribute(entry: int) -> Any:
    return [entry, Custom().helper_limit] if hasattr(entry, "limit") else entry.real


def nesting(entry: int) -> int:
    class Inner:
        """A class of a function."""

        value = 4

        def go(self) -> int:
            """Go."""
            return self.value + entry

    return Inner().go()


def enclosing(base: list[int]) -> Callable[[int], int]:
    return lambda entry: entry + base[0]


SAMPLES: dict[str, Callable[..., Any]] = {
    "custom": Custom(), "slotted": Slotted(), "protocol": Nameable(), "abstract": Concrete(), "generic": Registered(),
    "dataclass": Scale(), "tuple": Place(), "flag": Access.READ, "caching": Caching(), "path": Beside(),
    "lru_cache": cached, "singledispatch": dispatched, "function": helper, "global": counted, "attribute": attribute,
    "nesting": nesting, "closure": enclosing([1, 2]), "method": Custom().__call__, "class": Custom,
    "partial": functools.partial(helper), "lambda": lambda entry: entry in {"a", "b", "c"},
}  # fmt: skip


def loaded(path: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(sample: Any) -> Any:
    """Call it often enough for Python to specialize its instructions."""
    for number in range(100):
        sample() if sample is Custom else sample(number)
    return sample


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    from elastic.engine.fingerprint.code_fingerprint import fingerprint

    cloudpickle = loaded(sys.argv[2], "cloudpickle")

    def sent(sample: Any) -> Any:
        try:
            return cloudpickle.loads(cloudpickle.dumps(sample))
        except TypeError:
            return sample  # it holds a lock, or a weak reference

    def dumped(sample: Any) -> Any:
        with contextlib.suppress(pickle.PicklingError, AttributeError):  # a lambda
            pickle.dumps(sample)
        return sample

    acts: list[Callable[[Any], Any]] = [lambda it: it, copy.copy, copy.deepcopy, dumped, sent, run, dumped, sent]
    found = {}
    for name, sample in SAMPLES.items():
        said = [fingerprint(act(sample)) for act in acts]
        found[name] = [*said, fingerprint(sample)]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
