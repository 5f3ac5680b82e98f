"""Workloads, and the contenders that run each of them."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sample_text import Text

#: Result that all contenders of a workload must agree on: plain data.
Check = dict[str, Any]


@dataclass(slots=True)
class Attempt:
    """One attempt of a contender, as its function sees it."""

    #: amount of work, in the units of the workload
    size: int
    text: Text
    #: session that the engine's `opened` yielded
    session: Any
    #: an empty folder, for files that a contender needs
    folder: Path
    #: called after the work and before the result is read
    worked: Callable[[], None] = lambda: None
    seconds: float | None = None
    #: folder of the workload's own input; see `Workload.write_input`
    input: Path = Path()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure the block. Time before it belongs to the start; time after it does not count."""
        began = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - began
        self.worked()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work of a workload."""

    name: str
    #: its engine, a name of `benchmarks.engine.ENGINES`
    engine: str
    #: does the work within `attempt.timed()` and returns the result
    carry_out: Callable[[Attempt], Check]
    #: label of the contender with which its speed is compared: the plain loop of the same idiom, if any
    baseline: str
    #: does only 1/fraction of the work, because all of it would take minutes
    fraction: int = 1
    #: modules that must be installed beside those of its engine; importing them is part of the start
    modules: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Unique label within the workload."""
        return f"{self.engine}: {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One piece of work, done by all contenders and with the same answer."""

    key: str
    title: str
    #: unit of the rates
    unit: str
    full: int
    contenders: tuple[Contender, ...]
    #: notes for readers of the figures
    notes: tuple[str, ...] = ()
    #: minimum size at which results can be compared
    least: int = 1
    #: number of units of a size
    units: Callable[[int, Text], float] = field(default=lambda size, text: size)
    #: whether it needs the text, which must be created first
    of_text: bool = False
    #: whether contenders are commands, whose engine is part of the measurement
    of_commands: bool = False
    #: writes the workload's own input of a size into an empty folder, once for all attempts
    write_input: Callable[[int, Path], None] | None = None

    def size(self, share: float) -> int:
        """Return the size of a share of the full work: 1, 2 or 5 times a power of ten, unless it is full."""
        wanted = self.full * share
        if wanted == self.full:
            return self.full
        rounded = [int(digit * 10.0**power) for power in range(10) for digit in (1, 2, 5)]
        return max(self.least, *(size for size in rounded if size <= max(wanted, 1)))

    def input_of(self, cache: Path, size: int) -> Path:
        """Return the folder of the workload's own input in the cache folder, which `make_input` has written."""
        return cache / f"{self.key}-{size}"

    def make_input(self, cache: Path, size: int) -> None:
        """Write the workload's own input into the cache folder, unless it exists."""
        folder = self.input_of(cache, size)
        if self.write_input is None or folder.is_dir():
            return
        # An interrupted attempt leaves only this folder.
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        self.write_input(size, unfinished)
        unfinished.rename(folder)


def words_check(counts: Mapping[Any, int]) -> Check:
    """Describe a table of words; the words may be bytes."""
    common = sorted(counts.items(), key=lambda item: -item[1])
    # Include ties of the tenth word, because the order of equal counts is undefined.
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
    """Describe a table of words by its figures, without copying it.

    Args:
        total: Number of words.
        distinct: Number of different words.
        squares: Sum of the squared counts.
        letters: Sum of the lengths of the different words.
        top: The ten most common words with their counts; ties in the order of the words.
    """
    return {
        "total": int(total),
        "distinct": int(distinct),
        "squares": int(squares),
        "letters": int(letters),
        "top": [[word, int(count)] for word, count in top],
    }
