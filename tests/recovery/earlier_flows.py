"""Flows of the runs in `runs_before_move.tar.gz`, which an earlier version of Elastic began and killed half-way.

Run as `earlier_flows.py NAME FOLDER` with the version that begins the run: the process kills itself when half of the
chunks are in the result. The flows must stay as they are, or their fingerprints change.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import elastic
from elastic.aggregators import Count, GroupBy, Mean

ENTRIES = 600
CHUNKS = 60


def square(number: int) -> int:
    return number * number


def shortened(entries: list[Any]) -> list[Any]:
    return [entry[0] for entry in entries]


def names(number: int) -> list[str]:
    return [f"name{number % 7}", "and", f"name{number % 3}"]


def by_tens(number: int) -> tuple[int, int]:
    return number % 10, number


def pairs() -> Iterator[tuple[int, str]]:
    for number in range(ENTRIES):
        yield number, "not needed" * 9


def total(numbers: list[int]) -> int:
    return sum(numbers)


class KillHalfway(elastic.Interceptor):
    """Kills its process once half of the chunks are in the result."""

    def aggregated(self, receipt: Any, count: int) -> None:
        if count == CHUNKS // 2:
            os.kill(os.getpid(), signal.SIGKILL)


FLOWS: dict[str, Callable[[], Any]] = {
    "sum": lambda: elastic.from_range(ENTRIES, chunk_size=10).map(square).aggregate("sum"),
    "once": lambda: elastic.Step(pairs(), task=total, aggregator="sum", chunk_size=10),
    "sharded": lambda: elastic.from_range(ENTRIES, chunk_size=10).flat_map(names).aggregate(Count()),
    "grouped": lambda: elastic.from_range(ENTRIES, chunk_size=10).map(by_tens).aggregate(GroupBy(Mean())),
}


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    options: dict[str, Any] = {"commit_seconds": 1e-9, "collect_seconds": 1e-9, "call_chunks": 1}
    if name == "once":
        options["trim"] = shortened
    if name == "sharded":
        options["shards"] = 2
    flow = FLOWS[name]()
    step = flow.step() if isinstance(flow, elastic.Flow) else flow
    from elastic.engine import master
    from elastic.engine.run import run

    vars(master)["_COMMIT_SHARE"] = 0  # no pause between commits

    run(step.with_options(cluster="inline", home=folder, interceptor=KillHalfway, **options))
