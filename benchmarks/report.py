"""Measurements as tables, and the page that contains them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.machine import machine, versions
from benchmarks.measurement import Measured
from benchmarks.process_tree import tells_shared_memory
from benchmarks.sample_text import Text
from benchmarks.workload import Check, Contender, Workload

#: Ratio of the slowest to the fastest canary above which the machine was busy.
_UNEVEN = 1.25


@dataclass(slots=True)
class Report:
    """Figures of one workload."""

    workload: Workload
    #: measured contenders of the workload
    contenders: list[Contender]
    size: int
    text: Text
    measured_on: date
    #: missing requirement by the label of a skipped contender
    skipped: dict[str, str] = field(default_factory=dict)
    #: rounds in order; measurements by label
    rounds: list[dict[str, Measured]] = field(default_factory=list)
    #: the round with memory samples; its times count only if there are no others
    watched: dict[str, Measured] = field(default_factory=dict)

    @property
    def measured(self) -> list[Measured]:
        """All measurements."""
        return [measured for one in (*self.rounds, self.watched) for measured in one.values()]

    @property
    def problems(self) -> list[str]:
        """Return results that differ from the plain loop's, and failures of Elastic."""
        expected = self._expected()
        found = []
        for measured in self.measured:
            if measured.error and measured.contender.startswith("elastic"):
                found.append(f"{self.workload.key}, {measured.contender}: {measured.error}")
            elif not measured.error and measured.check != expected:
                found.append(f"{self.workload.key}, {measured.contender}: {measured.check} is not {expected}")
        return list(dict.fromkeys(found))

    def ratio(self, contender: Contender) -> float | None:
        """Return the speed of a contender relative to its baseline, by the medians over rounds."""
        speeds = {one.label: self._units(one) / median(times) for one in self.contenders if (times := self._times(one))}
        mine, its = speeds.get(contender.label), speeds.get(contender.baseline)
        return mine / its if mine and its else None

    def of(self, contender: Contender) -> list[Measured]:
        """Return the measurements of a contender, round by round."""
        return [one[contender.label] for one in self.rounds if contender.label in one]

    def __str__(self) -> str:
        lines = [f"## {self.workload.key}: {self.workload.title}", "", self._about(), "", *_HEAD]
        lines += [self._row(contender) for contender in self.contenders if self.of(contender)]
        lines += ["", *(f"{note}\n" for note in self.workload.notes), *self._words()]
        return "\n".join(lines).rstrip()

    def _about(self) -> str:
        units = self.workload.units(self.size, self.text)
        text = f" of {self.text.origin}" if self.workload.of_text else ""
        work = "" if self.workload.of_commands else f"{units:,.0f} {self.workload.unit}{text}; "
        times = f"{len(self.rounds)} {'round' if len(self.rounds) == 1 else 'rounds'}"
        return f"{work}{times}, each contender in turn; {self.measured_on.day} {self.measured_on:%B %Y}."

    def _row(self, contender: Contender) -> str:
        measured, times = self.of(contender), self._times(contender)
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
            "equal" if all(one.error or one.check == self._expected() for one in measured) else "**DIFFERS**",
        ]
        return f"| {name} | {' | '.join(cells)} |"

    def _words(self) -> Iterable[str]:
        """Yield the conditions of the figures and their reliability."""
        fractions = [f"{one.label}, one in {one.fraction:,}" for one in self.contenders if one.fraction > 1]
        if fractions:
            yield f"Parts of the work: {'; '.join(fractions)}.\n"
        impatient = [one.label for one in self.contenders if 0 < len(self.of(one)) < len(self.rounds)]
        if impatient:
            yield f"In fewer rounds, because an attempt took too long or failed: {'; '.join(impatient)}.\n"
        skipped = [f"{label} ({lacks} is not installed)" for label, lacks in self.skipped.items()]
        if skipped:
            yield f"Skipped: {'; '.join(skipped)}.\n"
        canaries = [seconds for one in self.measured for seconds in one.canary if seconds]
        uneven = max(canaries) > _UNEVEN * min(canaries)
        yield (
            f"Canary: {min(canaries):.3f} to {max(canaries):.3f} s"
            f"{', so the machine had other work: **do not trust these figures**' if uneven else ''}.\n"
        )
        yield f"Machine: {machine()}.\n"
        engines = dict.fromkeys(one.engine for one in self.contenders if self.of(one))
        yield f"Versions: {versions(engines)}."

    def _expected(self) -> Check | None:
        """Return the result of the plain loop."""
        first = self.workload.contenders[0].baseline
        return next((one.check for one in self.measured if one.contender == first and not one.error), None)

    def _times(self, contender: Contender) -> list[float]:
        return [one.seconds for one in self.of(contender) if one.seconds is not None]

    def _units(self, contender: Contender) -> float:
        return self.workload.units(self.size, self.text) / contender.fraction


_HEAD = (
    "| | seconds | units/s | times its baseline | with start, s | peak MiB | answer |",
    "|---|---:|---:|---:|---:|---:|---|",
)


def of_memory() -> str:
    """Describe how the memory of several processes is added."""
    return "Pss" if tells_shared_memory() else "resident memory: shared pages count once per process"


def write(page: Path, report: Report) -> None:
    """Write a table into the page, between the marks of its workload."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    key = report.workload.key
    between = re.compile(rf"(<!-- measured: {key} -->\n).*?(<!-- /measured: {key} -->)", re.DOTALL)
    if between.search(text) is None:
        text += f"\n<!-- measured: {key} -->\n<!-- /measured: {key} -->\n"
    text = between.sub(lambda marks: f"{marks[1]}{report}\n{marks[2]}", text)
    page.write_text(text, encoding="utf-8")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.4f}"


def _plain(text: str) -> str:
    return re.sub(r"[|\s]+", " ", text)[:100]
