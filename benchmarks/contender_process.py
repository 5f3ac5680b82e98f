"""Process that runs the attempts of one engine: `python -m benchmarks.contender_process ORDER`.

The order is a JSON object (see `Order`). Each attempt prints a line that begins with `ANSWERED`.
"""

import importlib
import json
import sys
import tempfile
import time
import traceback
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine import ENGINES
from benchmarks.sample_text import Text
from benchmarks.workload import Attempt, Contender
from benchmarks.workloads import WORKLOADS

#: Line printed after the work of a contender; the process then waits for a line.
WORKED = "attempt worked"
ANSWERED = "attempt answered: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Attempts of one process."""

    engine: str
    #: (key of a workload, label of a contender)
    contenders: list[tuple[str, str]]
    #: share of the full sizes
    share: float
    #: see `Text`
    text: tuple[str, str, str, str]
    #: cache folder with the workloads' own inputs
    cache: str = ""

    def plain(self) -> str:
        return json.dumps(asdict(self))


def carry_out(order: Order) -> None:
    """Run all attempts; a failing one reports its error and does not stop the others."""
    # Commands start their own engine.
    commands = all(WORKLOADS[key].of_commands for key, _ in order.contenders)
    began = time.perf_counter()
    with nullcontext() if commands else ENGINES[order.engine].opened() as session:
        start = time.perf_counter() - began
        for key, label in order.contenders:
            (contender,) = [one for one in WORKLOADS[key].contenders if one.label == label]
            imported = _imported(contender)
            told = {"workload": key, "contender": label, "start": start + imported}
            answer = json.dumps({**told, **_attempt(contender, key, order, session)})
            print(f"\n{ANSWERED}{answer}", flush=True)


def _imported(contender: Contender) -> float:
    """Import the modules that a contender needs beside its engine, and return the seconds."""
    began = time.perf_counter()
    for name in contender.modules:
        importlib.import_module(name)
    return time.perf_counter() - began


def _attempt(contender: Contender, key: str, order: Order, session: Any) -> dict[str, Any]:
    workload = WORKLOADS[key]
    origin, *folders = order.text
    whole = workload.size(order.share)
    size, given = whole // contender.fraction, workload.input_of(Path(order.cache), whole)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        attempt = Attempt(size, Text(origin, *map(Path, folders)), session, Path(folder), _worked, input=given)
        try:
            check = contender.carry_out(attempt)
        except Exception as error:
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"seconds": attempt.seconds, "check": check}


def _worked() -> None:
    """Let the parent sample the memory before the result is read."""
    print(f"\n{WORKED}", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    carry_out(Order(**json.loads(sys.argv[1])))
