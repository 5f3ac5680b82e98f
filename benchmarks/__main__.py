"""All benchmarks: `python -m benchmarks [W1 W4 ...] [--quick]`; see docs/internals/performance.md.

Run it from the root of a checkout. The exit code is 1 if a result differs from the plain loop's or if Elastic fails.
"""

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.campaign import Campaign
from benchmarks.engine import ENGINES
from benchmarks.report import Report, of_memory, write
from benchmarks.sample_text import NO_TEXT, Text, text_of
from benchmarks.workloads import WORKLOADS

#: MiB of text; the sizes of the other workloads scale with it.
FULL_MEGABYTES, QUICK_MEGABYTES = 512, 4

PAGE = Path(__file__).resolve().parents[1] / "docs" / "internals" / "performance.md"


def main() -> int:
    """Measure the workloads that the command line names and return the exit code."""
    # SIGTERM must also end the processes that this one has started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    given = _given()
    workloads = tuple(WORKLOADS[key] for key in given.workloads or WORKLOADS)
    share = given.megabytes / FULL_MEGABYTES
    problems: list[str] = []

    def done(report: Report) -> None:
        print(f"{report}\n", flush=True)
        if given.json:
            with given.json.open("a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(asdict(one))}\n" for one in report.measured)
        if given.page:
            write(given.page, report)
        problems.extend(report.problems)

    Campaign(
        workloads=workloads,
        engines=tuple(given.engines or ENGINES),
        share=share,
        quick=given.quick,
        rounds=given.rounds,
        limit=given.limit,
        patience=given.patience,
        text=_text(given, share) if any(workload.of_text for workload in workloads) else NO_TEXT,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        done=done,
        cache=given.cache,
    ).carry_out()
    print(f"Peak memory: {of_memory()}, summed over all processes.")
    for problem in problems:
        print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _text(given: argparse.Namespace, share: float) -> Text:
    files = WORKLOADS["W2"].size(share)
    return text_of(given.cache, given.megabytes << 20, files, kernel=given.text == "kernel")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Elastic and other tools, interleaved."
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all if left out")
    parser.add_argument("--quick", action="store_true", help="small sizes, once: check the results, write no figures")
    parser.add_argument(
        "--megabytes", type=_positive, help=f"MiB of text ({FULL_MEGABYTES}); the other workloads scale in proportion"
    )
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, metavar="ENGINE", help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--limit", type=_positive, default=300, help="seconds until an attempt is stopped (300)")
    parser.add_argument(
        "--patience",
        type=_positive,
        default=30,
        help="a tool that takes more seconds (30) gets one round",
    )
    parser.add_argument(
        "--cache", type=Path, default=_cache(), help="folder of the text; default ELASTIC_BENCHMARK_CACHE"
    )
    parser.add_argument(
        "--text", choices=("kernel", "python"), help="origin of the text; kernel, or python with --quick"
    )
    parser.add_argument("--page", type=Path, help="page for the tables; docs/internals/performance.md by default")
    parser.add_argument("--json", type=Path, help="file to which each measurement is appended, one per line")
    given = parser.parse_args()
    unknown = [key for key in given.workloads if key not in WORKLOADS]
    if unknown:
        parser.error(f"unknown workload {unknown[0]}; expected one of {', '.join(WORKLOADS)}")
    given.megabytes = given.megabytes or (QUICK_MEGABYTES if given.quick else FULL_MEGABYTES)
    given.text = given.text or ("python" if given.quick else "kernel")
    given.page = given.page or (None if given.quick else PAGE)
    return given


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _cache() -> Path:
    named = os.environ.get("ELASTIC_BENCHMARK_CACHE")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(named) if named else caches / "elastic-benchmarks"


if __name__ == "__main__":
    sys.exit(main())
