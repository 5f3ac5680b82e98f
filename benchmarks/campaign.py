"""Which attempts are made, in which order."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from benchmarks.attempt import Order
from benchmarks.engine import ENGINES
from benchmarks.measurement import Measured, measure
from benchmarks.report import Report
from benchmarks.text import Text
from benchmarks.workload import Contender, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What is measured, and how often."""

    workloads: tuple[Workload, ...]
    engines: tuple[str, ...]
    quick: bool
    rounds: int
    text: Text
    say: Callable[[str], None]

    def carry_out(self) -> list[Report]:
        """Measure everything and return a report for each workload."""
        missing = {name: ENGINES[name].missing() for name in self.engines}
        skipped = [(name, lacks) for name, lacks in missing.items() if lacks]
        for name, lacks in skipped:
            self.say(f"{name} is skipped: {lacks} is not installed")
        engines = [name for name in self.engines if not missing[name]]
        today = datetime.now(UTC).date()
        reports = []
        for workload in self.workloads:
            size = workload.quick if self.quick else workload.full
            reports.append(Report(workload, size, self.text, today, skipped))
        (self._quickly if self.quick else self._thoroughly)(reports, engines)
        return reports

    def _quickly(self, reports: list[Report], engines: list[str]) -> None:
        """Open each engine once, for all workloads, and look at time and memory at once."""
        for report in reports:
            report.rounds.append({})
        for commands in (False, True):
            for engine in engines:
                asked = [
                    (report, contender)
                    for report in reports
                    for contender in report.workload.contenders
                    if contender.engine == engine and report.workload.of_commands is commands
                ]
                if asked:
                    for (report, _), measured in zip(asked, self._measured(asked, watched=True), strict=True):
                        report.rounds[0][measured.contender] = report.watched[measured.contender] = measured

    def _thoroughly(self, reports: list[Report], engines: list[str]) -> None:
        """Give each attempt a process of its own, in turn; look at the memory in a last round."""
        for report in reports:
            contenders = [one for one in report.workload.contenders if one.engine in engines]
            for number in range(self.rounds + 1):
                watched = number == self.rounds
                told: dict[str, Measured] = {}
                # Who comes after whom must not always be the same.
                turn = number % len(contenders)
                for contender in contenders[turn:] + contenders[:turn]:
                    (told[contender.label],) = self._measured([(report, contender)], watched=watched)
                if watched:
                    report.watched = told
                else:
                    report.rounds.append(told)
                # What has failed once would take its time in every round.
                contenders = [one for one in contenders if not told[one.label].error]

    def _measured(self, asked: list[tuple[Report, Contender]], *, watched: bool) -> list[Measured]:
        order = Order(
            engine=asked[0][1].engine,
            contenders=[(report.workload.key, contender.label) for report, contender in asked],
            quick=self.quick,
            text=(self.text.origin, *(str(value) for value in list(asdict(self.text).values())[1:])),
        )
        measured = measure(order, watched=watched)
        for one in measured:
            self.say(f"{one.workload}, {one.contender}: {one.error or f'{one.seconds:.3f} s'}")
        return measured
