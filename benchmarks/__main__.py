"""All benchmarks: `python -m benchmarks [W1 W4 ...] [--quick]`; see docs/performance.md.

Run from the root of a checkout. Ends with 1 when an answer is not the plain loop's, or when one of ours fails.
"""

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import small_file, word_count
from benchmarks.campaign import Campaign
from benchmarks.catalogue import WORKLOADS
from benchmarks.engine import ENGINES
from benchmarks.report import of_memory, write
from benchmarks.text import NO_TEXT, Text, text_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def main() -> int:
    """Measure what the command line asks for."""
    # Whoever ends this process ends what it has started as well.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    given = _given()
    workloads = tuple(WORKLOADS[key] for key in given.workloads or WORKLOADS)
    campaign = Campaign(
        workloads=workloads,
        # The plain loops are what the others are compared with.
        engines=tuple(name for name in ENGINES if name == "python" or name in (given.engines or ENGINES)),
        quick=given.quick,
        rounds=given.rounds,
        text=_text(given) if any(workload.of_text for workload in workloads) else NO_TEXT,
        say=lambda told: print(told, file=sys.stderr, flush=True),
    )
    reports = campaign.carry_out()
    print("\n\n".join(map(str, reports)))
    print(f"\nPeak memory: {of_memory()}, summed over all processes.")
    if given.json:
        measured = [one for report in reports for part in (*report.rounds, report.watched) for one in part.values()]
        given.json.write_text("".join(f"{json.dumps(asdict(one))}\n" for one in measured), encoding="utf-8")
    if given.page or not given.quick:
        write(given.page or PAGE, reports)
    problems = [problem for report in reports for problem in report.problems]
    for problem in problems:
        print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _text(given: argparse.Namespace) -> Text:
    size = word_count.QUICK if given.quick else word_count.FULL
    files = small_file.QUICK if given.quick else small_file.FULL
    return text_of(given.cache, size, files, kernel=given.text == "kernel" or (given.text is None and not given.quick))


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ours and others, in turn.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all if left out")
    parser.add_argument("--quick", action="store_true", help="small sizes, once: is everything right? No figures.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, metavar="ENGINE", help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--cache", type=Path, default=_cache(), help="where the text is kept; ELASTIC_BENCHMARK_CACHE")
    parser.add_argument("--text", choices=("kernel", "python"), help="whose words; kernel, or python if --quick")
    parser.add_argument("--page", type=Path, help="where the tables are put; docs/performance.md, but not of --quick")
    parser.add_argument("--json", type=Path, help="where every single measurement is put, one a line")
    given = parser.parse_args()
    unknown = [key for key in given.workloads if key not in WORKLOADS]
    if unknown:
        parser.error(f"there is no workload {unknown[0]}; there are {', '.join(WORKLOADS)}")
    return given


def _cache() -> Path:
    named = os.environ.get("ELASTIC_BENCHMARK_CACHE")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(named) if named else caches / "elastic-benchmarks"


if __name__ == "__main__":
    sys.exit(main())
