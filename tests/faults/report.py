"""Report of a campaign, as a table and as plain data."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any

from tests.faults.mutant_hunt import Catch

#: Kinds of faults after which it is unknown whether the batch was processed.
_UNKNOWN = (
    "call lost",
    "answer lost",
    "worker killed",
    "any worker killed, at work",
    "worker killed, calls repeated by Ray",
    "process of a task killed",
    "worker out of memory, ended by Ray",
    "node killed",
    "node removed",
    "node cut off, and going on",
)


@dataclass(slots=True)
class Layer:
    """The figures of one layer."""

    runs: int = 0
    entries: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    #: from the ledgers: chunks_sent_again, duplicates_dropped, ...
    counters: Counter[str] = field(default_factory=Counter)
    #: number of existing and of tried moments, by operation
    known: Counter[str] = field(default_factory=Counter)
    covered: Counter[str] = field(default_factory=Counter)
    #: seconds of each resume
    resumes: list[float] = field(default_factory=list)
    letters_expected: int = 0
    letters_found: int = 0
    problems: list[str] = field(default_factory=list)

    def having(self, what: str) -> int:
        """Return the number of problems of a kind; an answer that is wrong in another way counts for every kind."""
        return sum(what in problem or "the answer" in problem for problem in self.problems)

    def plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def add(self, plain: dict[str, Any]) -> None:
        """Add the figures of another campaign."""
        for name, value in plain.items():
            own = getattr(self, name)
            setattr(self, name, own + (Counter(value) if isinstance(own, Counter) else value))


@dataclass(slots=True)
class Report:
    """All figures."""

    amount: str
    seeds: tuple[int, int] = (0, 0)
    simulated: Layer = field(default_factory=Layer)
    tasks: Layer = field(default_factory=Layer)
    points: Layer = field(default_factory=Layer)
    real: Layer = field(default_factory=Layer)
    written: Layer = field(default_factory=Layer)
    catches: list[Catch] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def layers(self) -> dict[str, Layer]:
        """All layers by their names."""
        return {"A": self.simulated, "S": self.tasks, "B": self.points, "C": self.real, "W": self.written}

    @property
    def problems(self) -> list[str]:
        missed = [f"mutant {catch.mutant!r} was not caught" for catch in self.catches if not catch.caught]
        return [*(problem for layer in self.layers.values() for problem in layer.problems), *missed]

    @property
    def mutants(self) -> str:
        """Return the number of caught mutants of the plan, as text."""
        own = {catch.mutant: catch.caught for catch in self.catches if catch.mutant != EXTRA}
        return f"{sum(own.values())} / {len(own)}"

    def plain(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "amount": self.amount,
            "seeds": list(self.seeds),
            "layers": {name: layer.plain() for name, layer in self.layers.items()},
            "mutants": [asdict(catch) for catch in self.catches],
            "mutants_caught": self.mutants,
            "skipped": self.skipped,
            "problems": self.problems,
        }

    @classmethod
    def of(cls, *parts: dict[str, Any]) -> "Report":
        """Combine the plain data of several campaigns into one report."""
        names = dict.fromkeys(part["amount"] for part in parts)
        report = cls(", ".join(names), min(tuple(part["seeds"]) for part in parts))
        layers = report.layers
        for part in parts:
            for name, layer in layers.items():
                layer.add(part["layers"].get(name, {}))
            if part["mutants"]:
                report.catches = [Catch(**{**catch, "by": tuple(catch["by"])}) for catch in part["mutants"]]
            report.skipped += [text for text in part["skipped"] if text not in report.skipped]
            report.seeds = (min(report.seeds[0], part["seeds"][0]), max(report.seeds[1], part["seeds"][1]))
        done = {letter for letter, layer in layers.items() if layer.runs} | ({"M"} if report.catches else set())
        report.skipped = [text for text in report.skipped if not any(text.startswith(f"layer {n}:") for n in done)]
        return report

    def __str__(self) -> str:
        parts = (self._figures(), self._faults(), self._points(), self._mutants())
        return "\n".join(["\n\n".join("\n".join(part) for part in parts if part), *self._end()])

    def _figures(self) -> list[str]:
        layers = tuple(self.layers.values())
        lost = [layer.having("entries lost") for layer in layers]
        twice = [layer.having("entries counted twice") for layer in layers]
        letters = [
            f"{layer.letters_expected:,} = {layer.letters_found:,}" if layer.letters_expected else ""
            for layer in layers
        ]
        rows: list[tuple[str, list[Any]]] = [
            ("runs", [layer.runs for layer in layers]),
            ("seeds", [self._seeds(self.simulated), self._seeds(self.tasks), *[""] * (len(layers) - 2)]),
            ("entries, of S task instances", [layer.entries for layer in layers]),
            ("faults", [layer.faults.total() for layer in layers]),
            ("of these, outcome unknown", [sum(layer.faults[kind] for kind in _UNKNOWN) for layer in layers]),
            ("chunks sent again", [layer.counters["chunks_sent_again"] for layer in layers]),
            ("chunks that came twice, dropped", [layer.counters["duplicates_dropped"] for layer in layers]),
            ("answers refused by their receipts", [layer.counters["receipts_refused"] for layer in layers]),
            ("**runs with entries lost**", lost),
            ("**runs with entries counted twice**", twice),
            ("dead letters, expected = found", letters),
            ("resume, p50 / p99 (s)", [spread(layer.resumes) for layer in layers]),
            ("everything that was wrong", [len(layer.problems) for layer in layers]),
            ("minutes", [f"{layer.seconds / 60:.1f}" for layer in layers]),
        ]
        names = "A: simulated | S: schedulers | B: crash points | C: real Ray | W: writes"
        head = [f"| | {names} |", "|---|---:|---:|---:|---:|---:|"]
        return head + [f"| {name} | {' | '.join(map(_written, values))} |" for name, values in rows]

    def _seeds(self, layer: Layer) -> str:
        first = self.seeds[0]
        return f"{first} to {first + layer.runs - 1}" if layer.runs else ""

    def _faults(self) -> list[str]:
        rows = [
            f"| {letter} | {kind} | {count:,} |"
            for letter, layer in self.layers.items()
            for kind, count in layer.faults.most_common()
        ]
        return ["| layer | fault | times |", "|---|---|---:|", *rows]

    def _points(self) -> list[str]:
        known, covered = self.points.known, self.points.covered
        rows = [f"| {kind} | {covered[kind]:,} / {known[kind]:,} |" for kind in known]
        rows.append(f"| all | {covered.total():,} / {known.total():,} |")
        return ["| crash points | covered / known |", "|---|---:|", *rows]

    def _mutants(self) -> list[str]:
        rows = [
            f"| {catch.mutant} | {catch.layer} | {'; '.join(catch.by) or catch.skipped or 'NOT CAUGHT'} |"
            for catch in self.catches
        ]
        if not self.catches:
            return []
        rows.append(f"| **caught / total** | | **{self.mutants}** |")
        return ["| mutant | layer | caught by |", "|---|---|---|", *rows]

    def _end(self) -> list[str]:
        return [
            *(f"\nSkipped: {reason}" for reason in self.skipped),
            *(f"\nWRONG: {text}" for text in self.problems[:50]),
        ]


#: A mutant beyond the plan's list: the same mechanism in the other store.
EXTRA = "no fsync of the run file"


def spread(seconds: list[float]) -> str:
    """Return median and 99th percentile."""
    if len(seconds) < 2:
        return " / ".join(f"{value:.3f}" for value in seconds * 2)
    cuts = quantiles(seconds, n=100, method="inclusive")
    return f"{cuts[49]:.3f} / {cuts[98]:.3f}"


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
