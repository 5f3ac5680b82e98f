"""Attempts in processes of their own: how long, how much memory, and how fast the machine was meanwhile."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contender_process import ANSWERED, WORKED, Order
from benchmarks.process_tree import ProcessTree

ROOT = Path(__file__).resolve().parents[1]

#: Seconds between two looks at the memory: so many times as long as a look takes, within these bounds.
_LOOK_PAUSE, _LOOK_SECONDS = 10, (0.1, 1.0)

#: Seconds between two looks at nothing but which processes there are.
_SEEN_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one attempt gave."""

    workload: str
    contender: str
    #: of the work alone
    seconds: float | None = None
    #: of opening what it runs on
    start: float = 0.0
    check: dict[str, Any] | None = None
    #: bytes of all its processes at their peak; None when nobody looked
    memory: int | None = None
    #: seconds of the canary before and after it
    canary: tuple[float, float] = (0.0, 0.0)
    #: why there is no answer
    error: str = ""


def canary() -> float:
    """Return the seconds of a small job of one CPU that is always the same: how fast the machine is just now.

    Its table is larger than the caches that a CPU has for itself, so that it notices those who use the memory.
    """
    began = time.perf_counter()
    table = dict.fromkeys(range(200_000), 0)
    key = 1
    for _ in range(400_000):
        key = key * 1_103_515_245 % 199_999
        table[key] += 1
    return time.perf_counter() - began


def measure(order: Order, *, watched: bool, limit: float) -> list[Measured]:
    """Return what the attempts of one process gave.

    Args:
        order: Which attempts.
        watched: Their memory is looked at too, which takes some of the CPUs' time.
        limit: Seconds until the process is ended, with all that it has started.
    """
    before = canary()
    with tempfile.TemporaryDirectory(prefix="benchmark-home-") as home, tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contender_process", order.plain()],
            cwd=ROOT,
            env=_environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )
        watch = _Watch(process, limit, watched=watched)
        try:
            answers = list(_answers(process, watch))
            process.wait()
        finally:
            watch.stop(wait=process.poll() is not None)
            _close(process)
        complaints.seek(0)
        reason = watch.reason or _last_line(complaints.read()) or f"ended with {process.returncode}"
    answered = {(answer["workload"], answer["contender"]) for answer in answers}
    answers += [
        {"workload": key, "contender": name, "error": reason}
        for key, name in order.contenders
        if (key, name) not in answered
    ]
    canaries = (before, canary())
    return [Measured(**answer, canary=canaries) for answer in answers]


def _answers(process: "subprocess.Popen[str]", watch: "_Watch") -> Iterator[dict[str, Any]]:
    assert process.stdin is not None
    assert process.stdout is not None
    peak = None
    for line in process.stdout:
        if line.startswith(WORKED):
            peak = watch.peak()
            # It may have been ended just now.
            with suppress(BrokenPipeError):
                process.stdin.write("\n")
                process.stdin.flush()
        elif line.startswith(ANSWERED):
            yield {**json.loads(line.removeprefix(ANSWERED)), "memory": peak}
            # What looking at the answer took is nobody's.
            watch.peak()


def _close(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        # What was written last may have found nobody.
        with suppress(BrokenPipeError):
            if pipe:
                pipe.close()


class _Watch:
    """A thread that looks at a process and all it has started, and ends it when its time is over."""

    def __init__(self, process: "subprocess.Popen[str]", limit: float, *, watched: bool) -> None:
        self._process, self._watched = process, watched
        self._tree = ProcessTree(process.pid)
        self._deadline = time.monotonic() + limit
        self._limit = limit
        self._peak = 0
        self._over = threading.Event()
        self.reason = ""
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def peak(self) -> int | None:
        """Return the peak since this was asked before; None when nobody looks."""
        # Whom a contender has started is still there now, and is remembered for the end.
        if not self._watched:
            self._tree.look()
            return None
        peak, self._peak = max(self._peak, self._tree.memory()), 0
        return peak

    def stop(self, *, wait: bool) -> None:
        """Look no more; what is left of the processes ends, at once or after some seconds."""
        self._over.set()
        self._thread.join()
        self._tree.look()
        if wait:
            self._tree.end()
        self._tree.kill()
        self._process.wait()

    def _look(self) -> None:
        pause = 0.0
        while not self._over.wait(min(pause, max(self._deadline - time.monotonic(), 0.0))):
            if time.monotonic() >= self._deadline:
                self.reason = f"not done after {self._limit:,.0f} s"
                self._tree.kill()
                return
            pause = self._looked()

    def _looked(self) -> float:
        """Look, and return the seconds until the next time."""
        if not self._watched:
            self._tree.look()
            return _SEEN_SECONDS
        began = time.perf_counter()
        self._peak = max(self._peak, self._tree.memory())
        least, most = _LOOK_SECONDS
        return min(most, max(least, _LOOK_PAUSE * (time.perf_counter() - began)))


def _environment(home: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    # Workers of all engines import the functions from here.
    own = {"PYTHONPATH": str(ROOT), "ELASTIC_HOME": home, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    return {**environment, **own}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


@dataclass(frozen=True, slots=True)
class Spent:
    """Median seconds of the clock, and of the CPU for this process, which the load of the machine changes less."""

    seconds: float
    cpu: float


def medians(variants: Mapping[str, tuple[Callable[[], Any], Any]], rounds: int) -> dict[str, Spent]:
    """Return what each variant took in this process; they take turns within a round, the first one another each time.

    Args:
        variants: By name, what is called, and what it must return.
        rounds: How often.
    """
    names = deque(variants)
    clocks = (time.perf_counter, time.process_time)
    spent: dict[str, list[list[float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name in names:
            run, answer = variants[name]
            began = [clock() for clock in clocks]
            found = run()
            spent[name].append([clock() - start for clock, start in zip(clocks, began, strict=True)])
            if found != answer:
                raise SystemExit(f"{name}: the answer is wrong")
        names.rotate()
    return {name: Spent(*map(statistics.median, zip(*times, strict=True))) for name, times in spent.items()}
