"""What is measured: workloads, and the contenders that carry each of them out."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sample_text import Text

#: What every contender of a workload must find equally: plain data.
Check = dict[str, Any]


@dataclass(slots=True)
class Attempt:
    """One try of one contender, as its function sees it."""

    #: how much work; what of, the workload says
    size: int
    text: Text
    #: what the engine's `opened` gave
    session: Any
    #: an empty folder, for files that a contender needs
    folder: Path
    #: called when the work is done, and before its answer is looked at
    worked: Callable[[], None] = lambda: None
    seconds: float | None = None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure the block: what is before it belongs to the start, what is after it to nobody."""
        began = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - began
        self.worked()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work of a workload."""

    name: str
    #: what it runs on, a name of `benchmarks.engine.ENGINES`
    engine: str
    #: does the work within `attempt.timed()`, and returns what it found
    carry_out: Callable[[Attempt], Check]
    #: label of the contender whose speed its own is compared with: the plain loop of the same idiom, if there is one
    baseline: str
    #: it does one part in so many of the work, because it would take minutes
    fraction: int = 1
    #: modules that must be installed beside those of its engine; importing them is part of the start
    modules: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What it is called, as no other contender of the workload."""
        return f"{self.engine}: {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One piece of work, done by all contenders and with the same answer."""

    key: str
    title: str
    #: what rates are in, and how many of them a size is
    unit: str
    full: int
    contenders: tuple[Contender, ...]
    #: what a reader of the figures must know
    notes: tuple[str, ...] = ()
    #: the smallest size that its answers can be compared at
    least: int = 1
    #: how many units a size is
    units: Callable[[int, Text], float] = field(default=lambda size, text: size)
    #: it is done on the text, which then has to be made
    of_text: bool = False
    #: contenders are commands, and what they run on is part of what is measured
    of_commands: bool = False

    def size(self, share: float) -> int:
        """Return the size of a share of the full work: 1, 2 or 5 and noughts, which divides well, unless it is full."""
        wanted = self.full * share
        if wanted == self.full:
            return self.full
        rounded = [int(digit * 10.0**power) for power in range(10) for digit in (1, 2, 5)]
        return max(self.least, *(size for size in rounded if size <= max(wanted, 1)))


def words_check(counts: Mapping[Any, int]) -> Check:
    """Describe a table of words; the words may be bytes."""
    common = sorted(counts.items(), key=lambda item: -item[1])
    # Who is tenth must not depend on an order that nobody gave.
    common = [item for item in common if item[1] >= common[9][1]] if len(common) > 9 else common
    top = sorted((-count, word.decode() if isinstance(word, bytes) else word) for word, count in common)[:10]
    return words_check_of(
        total=sum(counts.values()),
        distinct=len(counts),
        squares=sum(count * count for count in counts.values()),
        letters=sum(map(len, counts)),
        top=[(word, -count) for count, word in top],
    )


def words_check_of(*, total: int, distinct: int, squares: int, letters: int, top: list[tuple[str, int]]) -> Check:
    """Describe a table of words that stays where it is.

    Args:
        total: How many words, each as often as it comes.
        distinct: How many different words.
        squares: The sum of the squares of all counts.
        letters: The sum of the lengths of the different words.
        top: The ten most common with their counts; equally common ones by themselves.
    """
    return {
        "total": int(total),
        "distinct": int(distinct),
        "squares": int(squares),
        "letters": int(letters),
        "top": [[word, int(count)] for word, count in top],
    }
