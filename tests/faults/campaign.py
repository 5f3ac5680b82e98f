"""Campaigns: the amount and the order of the attempts."""

import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cluster import Aims, attack_runs
from tests.faults.crash import Crashes, crash
from tests.faults.master_job import simulate_schedulers
from tests.faults.mutant_hunt import hunt
from tests.faults.power import can_record, fail_power
from tests.faults.refusal import REFUSALS, refuse
from tests.faults.report import Layer, Report
from tests.faults.simulated_flow import SCENARIOS
from tests.faults.simulation import Outcome, play
from tests.faults.writing import TARGETS, attack_writes


@dataclass(frozen=True, slots=True)
class Amount:
    """Amount of attempts."""

    seeds: int
    #: of schedulers
    scheduler_seeds: int
    #: crash at every n-th moment of a scenario
    stride: int
    #: names of scenarios with crash points
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    #: of real clusters
    aims: Aims = field(default_factory=Aims)
    #: kills of flows that write, for each of the targets
    writes: int = 5
    targets: tuple[str, ...] = ("folder",)


AMOUNTS = {
    "short": Amount(seeds=80, scheduler_seeds=20, stride=61),
    "full": Amount(
        seeds=1200,
        scheduler_seeds=600,
        stride=1,
        aims=Aims(workers=100, nodes=20, masters=20, heads=6, starts=500, times=2, seconds=7200),
        writes=100,
        targets=TARGETS,
    ),
}

Say = Callable[[str], None]


@contextmanager
def _pool() -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of two processes, which end as soon as this one gets SIGTERM."""
    pool = ProcessPoolExecutor(2, initializer=signal.signal, initargs=(signal.SIGTERM, signal.SIG_DFL))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def simulate(layer: Layer, seeds: Iterable[int], say: Say) -> None:
    """Layer A."""
    began = time.monotonic()
    with _pool() as pool:
        for outcome in pool.map(play, seeds, chunksize=4):
            _add_outcome(layer, outcome, say)
    layer.seconds = time.monotonic() - began


def _add_outcome(layer: Layer, outcome: Outcome, say: Say) -> None:
    layer.runs += 1
    layer.entries += outcome.story.count
    layer.faults += outcome.faults
    layer.counters += outcome.counters
    layer.letters_expected += len(outcome.story.failing())
    layer.letters_found += outcome.letters
    for problem in outcome.problems:
        text = f"seed {outcome.seed}: {problem}"
        layer.problems.append(text)
        say(f"WRONG {text}; replay with `python -m tests.faults --seed {outcome.seed}`")


def schedule(layer: Layer, seeds: Iterable[int], say: Say) -> None:
    """Layer S."""
    began = time.monotonic()
    with _pool() as pool:
        for outcome in pool.map(simulate_schedulers, seeds, chunksize=4):
            layer.runs += 1
            layer.entries += outcome.instances
            layer.faults += outcome.faults
            layer.counters += outcome.counters
            for problem in outcome.problems:
                layer.problems.append(f"seed {outcome.seed}: {problem}")
                say(f"WRONG schedulers, seed {outcome.seed}: {problem}")
    layer.seconds = time.monotonic() - began


def crash_everywhere(report: Report, amount: Amount, say: Say) -> None:
    """Layer B."""
    layer, began, stride = report.points, time.monotonic(), amount.stride
    reason = can_record()
    tasks = [("process killed before a call", name, stride) for name in amount.scenarios]
    if reason is None:
        tasks += [("power lost after a call", name, stride) for name in amount.scenarios]
        # The behaviour on a refusal depends only on the kind of store.
        names = ("gone", "directory") if stride == 1 else ("gone",)
        tasks += [(f"{error} from {call}", name, stride) for name in names for call, error in REFUSALS]
    else:
        report.skipped.append(f"power failures, refusing disks and five mutants: {reason}")
    with _pool() as pool:
        for (kind, name, _), crashes in zip(tasks, pool.map(_crashes, tasks), strict=True):
            _add_crashes(layer, kind, crashes, name)
            say(f"{kind}, {name}: {crashes.covered:,} of {crashes.known:,}")
    layer.seconds = time.monotonic() - began


def _crashes(task: tuple[str, str, int]) -> Crashes:
    kind, name, stride = task
    offset = 7 * list(SCENARIOS).index(name)
    with tempfile.TemporaryDirectory(prefix="elastic-crash-") as made:
        folder = Path(made)
        if kind.startswith("process"):
            return crash(name, folder, stride, offset)
        if kind.startswith("power"):
            return fail_power(name, folder, stride=stride, times=2 if stride == 1 else 1, seed=offset)
        error, _, call = kind.split()
        return refuse(name, folder, call, error, stride)


def _add_crashes(layer: Layer, kind: str, crashes: Crashes, name: str) -> None:
    layer.known[kind] += crashes.known
    layer.covered[kind] += crashes.covered
    layer.faults[kind] += crashes.kills
    layer.counters["chunks_sent_again"] += sum(end.again for end in crashes.ends)
    begun = [end for end in crashes.ends if not end.not_begun]
    layer.runs += len(crashes.ends)
    layer.entries += sum(end.entries for end in begun)
    layer.resumes += [end.seconds for end in begun]
    letters = len(SCENARIOS[name].letters)
    layer.letters_expected += letters * len(begun)
    wrong = sum("dead letters" in problem for problem in crashes.problems)
    layer.letters_found += letters * (len(begun) - wrong)
    layer.problems += crashes.problems


def attack(report: Report, aims: Aims, seed: int) -> None:
    """Layer C."""
    if not aims.seconds:
        report.skipped.append("real Ray: only in the full amount, or with --cluster-seconds")
        return
    layer = report.real
    attacks, layer.seconds = attack_runs(aims, seed)
    layer.runs, layer.entries = attacks.runs, attacks.entries
    layer.faults, layer.counters, layer.resumes = +attacks.done, attacks.counters, attacks.resumes
    layer.problems = attacks.problems
    report.skipped += attacks.skipped
    plan = {"worker killed": aims.workers, "node removed": aims.nodes, "master killed": aims.masters}
    for kind, wanted in plan.items() if "kill" in aims.parts else ():
        if attacks.done[kind] < wanted:
            report.skipped.append(f"{kind}: {attacks.done[kind]} of {wanted}, because the time was over")


def carry_out(name: str, amount: Amount, first_seed: int, layers: str, say: Say) -> Report:
    """Run a campaign: some of the layers A, S, B, C and W, and M for the mutants."""
    report = Report(name, seeds=(first_seed, first_seed + amount.seeds))
    if "A" in layers:
        simulate(report.simulated, range(*report.seeds), say)
        say(f"simulated: {report.simulated.faults.total():,} faults in {report.simulated.seconds:.0f} s")
    if "S" in layers:
        schedule(report.tasks, range(first_seed, first_seed + amount.scheduler_seeds), say)
        say(f"schedulers: {report.tasks.faults.total():,} faults in {report.tasks.seconds:.0f} s")
    if "B" in layers:
        crash_everywhere(report, amount, say)
        say(f"crash points: {report.points.covered.total():,} in {report.points.seconds:.0f} s")
    if "M" in layers:
        for catch in hunt():
            report.catches.append(catch)
            say(f"mutant {catch.mutant}: {'caught' if catch.caught else 'NOT CAUGHT'}")
    if "C" in layers:
        attack(report, amount.aims, first_seed)
    if "W" in layers:
        attack_writes(report.written, amount.targets, amount.writes, first_seed, say)
    report.skipped += [f"layer {letter}: not asked for" for letter in "ASBMCW" if letter not in layers]
    return report
