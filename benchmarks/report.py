"""What was measured, as tables, and the page that keeps them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.machine import machine, versions
from benchmarks.measurement import Measured
from benchmarks.process_tree import tells_shared_memory
from benchmarks.text import Text
from benchmarks.workload import Check, Contender, Workload

#: From here on the machine was not the same for all: its canary took so many times as long at its worst.
_UNEVEN = 1.25


@dataclass(slots=True)
class Report:
    """The figures of one workload."""

    workload: Workload
    size: int
    text: Text
    measured_on: date
    #: (engine, what it lacks)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    #: rounds in order; each holds what its contenders gave, by label
    rounds: list[dict[str, Measured]] = field(default_factory=list)
    #: the round whose memory was looked at; its times do not count when there are others
    watched: dict[str, Measured] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Say what is wrong: answers that are not the plain loop's, and contenders of ours that failed."""
        expected = self._expected()
        found = []
        for measured in self._all():
            if measured.error and measured.contender.startswith("elastic"):
                found.append(f"{self.workload.key}, {measured.contender}: {measured.error}")
            elif not measured.error and measured.check != expected:
                found.append(f"{self.workload.key}, {measured.contender}: {measured.check} is not {expected}")
        return list(dict.fromkeys(found))

    def ratio(self, contender: Contender) -> float | None:
        """Return how many times as fast as its plain loop a contender is: the median over rounds."""
        ratios = [
            self._speed(contender, mine) / self._speed(baseline, its)
            for one in self.rounds
            if (mine := one.get(contender.label)) and (its := one.get(contender.baseline))
            for baseline in self.workload.contenders
            if baseline.label == contender.baseline and mine.seconds and its.seconds
        ]
        return median(ratios) if ratios else None

    def __str__(self) -> str:
        lines = [f"## {self.workload.key}: {self.workload.title}", "", self._about(), "", *_HEAD]
        lines += [self._row(contender) for contender in self.workload.contenders if self._of(contender)]
        lines += ["", *(f"{note}\n" for note in self.workload.notes), *self._words()]
        return "\n".join(lines).rstrip()

    def _about(self) -> str:
        units = self.workload.units(self.size, self.text)
        text = f" of {self.text.origin}" if self.workload.of_text else ""
        work = "" if self.workload.of_commands else f"{units:,.0f} {self.workload.unit}{text}; "
        times = f"{len(self.rounds)} {'round' if len(self.rounds) == 1 else 'rounds'}"
        return f"{work}{times}, each contender in turn; {self.measured_on:%-d %B %Y}."

    def _row(self, contender: Contender) -> str:
        measured = self._of(contender)
        times = [one.seconds for one in measured if one.seconds is not None]
        name = f"**{contender.label}**" if contender.engine.startswith("elastic") else contender.label
        if not times:
            return f"| {name} | failed: {_plain(measured[-1].error)} | | | | | |"
        rate = self._units(contender) / median(times)
        ratio = self.ratio(contender)
        starts = median(one.start + one.seconds for one in measured if one.seconds is not None)
        peak = self.watched.get(contender.label)
        cells = [
            _seconds(median(times))
            + (f" ({_seconds(min(times))} to {_seconds(max(times))})" if len(times) > 1 else ""),
            "" if self.workload.of_commands else f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}",
            "" if ratio is None else f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}",
            "" if self.workload.of_commands else _seconds(starts),
            f"{peak.memory / (1 << 20):,.0f}" if peak and peak.memory else "",
            "equal" if all(one.check == self._expected() for one in measured) else "**DIFFERS**",
        ]
        return f"| {name} | {' | '.join(cells)} |"

    def _words(self) -> Iterable[str]:
        """Say what the figures depend on, and how far they can be trusted."""
        fractions = [f"{one.label} one in {one.fraction}" for one in self.workload.contenders if one.fraction > 1]
        if fractions:
            yield f"Parts of the work: {', '.join(fractions)}.\n"
        for engine, missing in self.skipped:
            yield f"Skipped: {engine}, for {missing} is not installed.\n"
        canaries = [seconds for one in self._all() for seconds in one.canary if seconds]
        uneven = max(canaries) > _UNEVEN * min(canaries)
        yield (
            f"Canary: {min(canaries):.3f} to {max(canaries):.3f} s"
            f"{', so the machine had other work: **do not trust these figures**' if uneven else ''}.\n"
        )
        yield f"Machine: {machine()}.\n"
        engines = dict.fromkeys(one.engine for one in self.workload.contenders if self._of(one))
        yield f"Versions: {versions(engines)}."

    def _expected(self) -> Check | None:
        """Return what the plain loop found."""
        first = self.workload.contenders[0].baseline
        return next((one.check for one in self._all() if one.contender == first and not one.error), None)

    def _all(self) -> list[Measured]:
        return [measured for one in (*self.rounds, self.watched) for measured in one.values()]

    def _of(self, contender: Contender) -> list[Measured]:
        return [one[contender.label] for one in self.rounds if contender.label in one]

    def _units(self, contender: Contender) -> float:
        return self.workload.units(self.size, self.text) / contender.fraction

    def _speed(self, contender: Contender, measured: Measured) -> float:
        return self._units(contender) / (measured.seconds or 1.0)


_HEAD = (
    "| | seconds | units/s | times its plain loop | with start, s | peak MiB | answer |",
    "|---|---:|---:|---:|---:|---:|---|",
)


def of_memory() -> str:
    """Say what the memory of several processes is."""
    return "Pss" if tells_shared_memory() else "resident memory: what processes share counts several times"


def write(page: Path, reports: Iterable[Report]) -> None:
    """Put tables into the page: each between the marks of its workload, and all else stays."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    for report in reports:
        key = report.workload.key
        between = re.compile(rf"(<!-- measured: {key} -->\n).*?(<!-- /measured: {key} -->)", re.DOTALL)
        if between.search(text) is None:
            text += f"\n<!-- measured: {key} -->\n<!-- /measured: {key} -->\n"
        text = between.sub(lambda marks, told=str(report): f"{marks[1]}{told}\n{marks[2]}", text)
    page.write_text(text, encoding="utf-8")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.4f}"


def _plain(text: str) -> str:
    return re.sub(r"[|\s]+", " ", text)[:100]
