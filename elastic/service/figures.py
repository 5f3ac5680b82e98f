"""Figures of a master about its own work, which it stores with its heartbeat, because other processes show them."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: Upper bounds of the buckets of durations (seconds).
BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(slots=True)
class DurationHistogram:
    """Histogram of durations: how many fell into each bucket, and their sum."""

    #: one for each bound, and one for longer durations
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    #: seconds
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def add(self, other: "DurationHistogram") -> None:
        """Add the durations of another histogram."""
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


@dataclass(slots=True)
class MasterFigures:
    """Figures of one master, or of several together."""

    #: from the time at which a run is due until it is made
    scheduling_delay: DurationHistogram = field(default_factory=DurationHistogram)
    turn: DurationHistogram = field(default_factory=DurationHistogram)
    #: transactions that were tried again
    db_retries: int = 0

    def encoded(self) -> str:
        """Return the figures as JSON."""
        histograms = {name: [one.counts, round(one.total, 3)] for name, one in self._histograms()}
        return json.dumps({**histograms, "db_retries": self.db_retries})

    @classmethod
    def sum_of(cls, encoded: Iterable[str]) -> "MasterFigures":
        """Return the sum of encoded figures; those of another version of the format are left out."""
        found = cls()
        for text in encoded:
            try:
                found._add(json.loads(text))
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def _histograms(self) -> Sequence[tuple[str, DurationHistogram]]:
        return (("scheduling_delay", self.scheduling_delay), ("turn", self.turn))

    def _add(self, stored: dict[str, list[object] | int]) -> None:
        parts = {name: DurationHistogram(*stored[name]) for name, _ in self._histograms()}  # type: ignore[misc]
        retries = int(stored["db_retries"])  # type: ignore[arg-type]
        for name, own in self._histograms():
            own.add(parts[name])
        self.db_retries += retries
