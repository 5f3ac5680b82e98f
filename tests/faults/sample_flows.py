"""Flows of the simulated masters, and their answers. Entries are numbered, so that errors name the lost ones."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import elastic
from elastic.aggregators import Collect
from elastic.core.contracts.aggregator import Aggregator

State = list[Any]


class Census(Aggregator[int, State, dict[str, Any]]):
    """Number, sum, largest, and count of each entry."""

    def create(self) -> State:
        return [0, 0, -1, {}]

    def add(self, state: State, entry: int) -> State:
        return self.merge(state, [1, entry, entry, {entry: 1}])

    def merge(self, state: State, other: State) -> State:
        for entry, times in other[3].items():
            state[3][entry] = state[3].get(entry, 0) + times
        return [state[0] + other[0], state[1] + other[1], max(state[2], other[2]), state[3]]

    def finish(self, state: State) -> dict[str, Any]:
        return {"count": state[0], "sum": state[1], "max": state[2], "entries": sorted(state[3].items())}


def census_of(entries: list[int]) -> dict[str, Any]:
    """Return the result of `Census`, by a plain loop."""
    times = Counter(entries)
    return {
        "count": len(entries),
        "sum": sum(entries),
        "max": max(entries, default=-1),
        "entries": sorted(times.items()),
    }


def same(number: int) -> int:
    return number


def fragile(number: int) -> int:
    if number % 37 == 5:
        raise ValueError(f"bad {number}")
    return number


@dataclass(frozen=True, slots=True)
class Story:
    """A flow with its answer."""

    #: `range` (read by the workers), `list` (by value) or `once` (by value, and kept until it is folded)
    source: str
    count: int
    chunk_size: int
    #: number of distinct entries, which repeat so that chunks are equal; 0 for unique entries
    modulus: int
    ordered: bool
    #: some entries fail, and become dead letters
    fragile: bool

    @classmethod
    def of(cls, rng: random.Random) -> "Story":
        """Return a random story."""
        source = rng.choice(["range", "list", "once"])
        size = rng.choice([1, 2, 5, 10])
        return cls(
            source=source,
            count=rng.choice([0, 1, 40 * size, 100 * size, 200 * size]),
            chunk_size=size,
            modulus=size if source != "range" and rng.random() < 0.2 else 0,
            ordered=rng.random() < 0.25,
            fragile=rng.random() < 0.3,
        )

    @property
    def is_one_shot(self) -> bool:
        return self.source == "once"

    def numbers(self) -> list[int]:
        """Return all entries in order."""
        return [n % self.modulus if self.modulus else n for n in range(self.count)]

    def failing(self) -> list[int]:
        """Return the entries that become dead letters."""
        return [n for n in self.numbers() if n % 37 == 5] if self.fragile else []

    def answer(self) -> Any:
        """Return the result that the flow must have."""
        good = [n for n in self.numbers() if not (self.fragile and n % 37 == 5)]
        return good if self.ordered else census_of(good)

    def step(self) -> elastic.Step:
        """Return a new step for each master, as in a new process."""
        flow = self._source().map(fragile if self.fragile else same)
        flow = flow.aggregate(Collect() if self.ordered else Census())
        if self.fragile:
            flow = flow.options(on_error="dead-letter")
        return flow.step()

    def _source(self) -> elastic.Flow:
        if self.source == "range":
            return elastic.from_range(self.count, chunk_size=self.chunk_size)
        entries: list[int] | Iterator[int] = self.numbers()
        return elastic.from_iterable(iter(entries) if self.is_one_shot else entries, chunk_size=self.chunk_size)


def difference(expected: Any, found: Any) -> list[str]:
    """Return the error of an answer, with the entries; an empty string if it is right, bit for bit."""
    if expected == found and repr(expected) == repr(found):
        return []
    if isinstance(expected, list) and isinstance(found, list):
        before, after = Counter(expected), Counter(found)
    elif isinstance(found, dict):
        before, after = Counter(dict(expected["entries"])), Counter(dict(found["entries"]))
    else:
        return [f"the answer is {found!r}"]
    lost, twice = before - after, after - before
    said = [f"entries lost: {_some(lost)}"] if lost else []
    said += [f"entries counted twice: {_some(twice)}"] if twice else []
    return said or ["the answer differs, but not in which entries it has"]


def _some(entries: Counter[Any]) -> str:
    first = sorted(entries.items())[:5]
    return f"{entries.total()} ({', '.join(f'{entry} x {times}' for entry, times in first)}, ...)"
