"""The fault campaign: `python -m tests.faults [--amount short|full] [--seeds N] [--seed S] [--json]`.

Run from the root of a checkout. The exit code is 1 if anything was lost, counted twice or otherwise wrong, or if a
mutant was not caught.
"""

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from tests.faults.campaign import AMOUNTS, carry_out
from tests.faults.cluster import PARTS
from tests.faults.report import Report
from tests.faults.simulated_flow import SCENARIOS
from tests.faults.simulation import play
from tests.faults.writing import TARGETS


def main() -> int:
    """Run the campaign that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Inject faults, and count entries.")
    parser.add_argument("--amount", choices=sorted(AMOUNTS), default="short")
    parser.add_argument("--seeds", type=int, help="simulated runs")
    parser.add_argument("--scheduler-seeds", type=int, help="simulated runs of schedulers")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, help="replay this simulated run, and nothing else")
    parser.add_argument(
        "--layers", default="ASBMC", help="A simulated, S schedulers, B crash points, M mutants, C real Ray, W writes"
    )
    parser.add_argument("--stride", type=int, help="try every so many crash points")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, help="with crash points; all by default")
    parser.add_argument("--cluster-seconds", type=float, help="seconds for real Ray")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="of real Ray, what is done")
    parser.add_argument("--kills", type=int, help="of flows that write, for each target")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, help="of flows that write")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", type=Path, nargs="+", help="run nothing; add up what --json has printed into files")
    given = parser.parse_args()
    if given.show:
        return _print(Report.of(*(json.loads(path.read_text()) for path in given.show)), as_json=given.json)
    if given.seed is not None:
        return _replay(given.seed)
    amount = AMOUNTS[given.amount]
    if given.seeds is not None:
        amount = replace(amount, seeds=given.seeds)
    if given.scheduler_seeds is not None:
        amount = replace(amount, scheduler_seeds=given.scheduler_seeds)
    if given.stride is not None:
        amount = replace(amount, stride=given.stride)
    if given.scenarios is not None:
        amount = replace(amount, scenarios=tuple(given.scenarios))
    if given.cluster_seconds is not None:
        amount = replace(amount, aims=replace(AMOUNTS["full"].aims, seconds=given.cluster_seconds))
    amount = replace(amount, aims=replace(amount.aims, parts=tuple(given.parts)))
    if given.kills is not None:
        amount = replace(amount, writes=given.kills)
    if given.targets is not None:
        amount = replace(amount, targets=tuple(given.targets))
    # SIGTERM must also end the clusters that the campaign has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = carry_out(given.amount, amount, given.first_seed, given.layers, _say)
    return _print(report, as_json=given.json)


def _print(report: Report, *, as_json: bool) -> int:
    sys.stdout.write(f"{json.dumps(report.plain()) if as_json else report}\n")
    return 1 if report.problems else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _replay(seed: int) -> int:
    outcome = play(seed)
    sys.stdout.write(f"{outcome.story}\n{outcome.masters} masters, {outcome.seconds:.1f} simulated seconds\n")
    for kind, count in outcome.faults.most_common():
        sys.stdout.write(f"{count:6} {kind}\n")
    for problem in outcome.problems:
        sys.stdout.write(f"WRONG: {problem}\n")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
