"""Order of the attempts."""

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contender_process import Order
from benchmarks.engine import ENGINES
from benchmarks.measurement import Measured, measure
from benchmarks.report import Report
from benchmarks.sample_text import Text
from benchmarks.workload import Contender, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Plan of a measurement: workloads, engines and rounds."""

    workloads: tuple[Workload, ...]
    engines: tuple[str, ...]
    #: share of the full sizes
    share: float
    #: run everything once and open each engine once, to check the results
    quick: bool
    rounds: int
    #: seconds after which an attempt is stopped
    limit: float
    #: maximum seconds of an attempt for more than one round; not for Elastic
    patience: float
    text: Text
    say: Callable[[str], None]
    #: called with each complete report
    done: Callable[[Report], None]
    #: folder of the workloads' own inputs, which is kept between runs
    cache: Path = Path()

    def carry_out(self) -> None:
        """Measure everything."""
        for name in self.engines:
            if lacks := ENGINES[name].missing():
                self.say(f"{name} is skipped: {lacks} is not installed")
        reports = [self._report(workload) for workload in self.workloads]
        for report in reports:
            if report.contenders:
                report.workload.make_input(self.cache, report.size)
        if self.quick:
            self._quickly(reports)
        for report in reports:
            if not self.quick:
                began = time.monotonic()
                self._thoroughly(report)
                self.say(f"{report.workload.key} took {(time.monotonic() - began) / 60:.1f} minutes")
            self.done(report)

    def _report(self, workload: Workload) -> Report:
        wanted = [one for one in workload.contenders if one.engine in self.engines]
        # Baselines always take part.
        baselines = {workload.contenders[0].baseline, *(one.baseline for one in wanted)}
        wanted = [one for one in workload.contenders if one in wanted or one.label in baselines]
        lacking = {one.label: lacks for one in wanted if (lacks := _missing(one))}
        return Report(
            workload=workload,
            contenders=[one for one in wanted if one.label not in lacking],
            size=workload.size(self.share),
            text=self.text,
            measured_on=datetime.now(UTC).date(),
            skipped=lacking,
        )

    def _quickly(self, reports: list[Report]) -> None:
        """Open each engine once for all workloads, and measure time and memory together."""
        for report in reports:
            report.rounds.append({})
        for commands in (False, True):
            for engine in ENGINES:
                asked = [
                    (report, contender)
                    for report in reports
                    for contender in report.contenders
                    if contender.engine == engine and report.workload.of_commands is commands
                ]
                if asked:
                    for (report, _), measured in zip(asked, self._measured(asked, watched=True), strict=True):
                        report.rounds[0][measured.contender] = report.watched[measured.contender] = measured

    def _thoroughly(self, report: Report) -> None:
        """Run each attempt in its own process, interleaved; sample the memory in a last round."""
        contenders = report.contenders
        for number in range(self.rounds):
            report.rounds.append(self._round(report, contenders, number, watched=False))
            contenders = [one for one in contenders if self._has_another(one, report.rounds[-1][one.label])]
        # A contender that failed once would waste its time again.
        contenders = [one for one in report.contenders if not any(told.error for told in report.of(one))]
        report.watched = self._round(report, contenders, self.rounds, watched=True)

    def _round(self, report: Report, contenders: list[Contender], number: int, *, watched: bool) -> dict[str, Measured]:
        # The order of contenders changes from round to round.
        turn = number % max(len(contenders), 1)
        inturn = contenders[turn:] + contenders[:turn]
        return {one.label: self._measured([(report, one)], watched=watched)[0] for one in inturn}

    def _has_another(self, contender: Contender, measured: Measured) -> bool:
        if measured.error:
            return False
        patient = contender.engine == "python" or contender.engine.startswith("elastic")
        return patient or measured.start + (measured.seconds or 0.0) <= self.patience

    def _measured(self, asked: list[tuple[Report, Contender]], *, watched: bool) -> list[Measured]:
        order = Order(
            engine=asked[0][1].engine,
            contenders=[(report.workload.key, contender.label) for report, contender in asked],
            share=self.share,
            text=(self.text.origin, str(self.text.sources), str(self.text.documentation), str(self.text.small)),
            cache=str(self.cache),
        )
        measured = measure(order, watched=watched, limit=self.limit * len(asked))
        for one in measured:
            self.say(f"{one.workload}, {one.contender}: {one.error or f'{one.seconds:.3f} s'}")
        return measured


def _missing(contender: Contender) -> str:
    """Return the missing requirement of a contender; empty if all are installed."""
    absent = [name for name in contender.modules if importlib.util.find_spec(name) is None]
    return ", ".join(filter(None, [ENGINES[contender.engine].missing(), *absent]))
