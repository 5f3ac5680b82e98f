"""Runs attempts in their own processes and measures time, memory and the speed of the machine."""

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

#: Pause between two memory samples as a multiple of the duration of a sample, and its bounds (seconds).
_SAMPLE_PAUSE_FACTOR, _SAMPLE_INTERVAL_BOUNDS = 10, (0.1, 1.0)

#: Seconds between two listings of the processes, if their memory is not sampled.
_LISTING_INTERVAL = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Measurement of one attempt."""

    workload: str
    contender: str
    #: seconds of the work alone
    seconds: float | None = None
    #: seconds of opening the engine
    start: float = 0.0
    check: dict[str, Any] | None = None
    #: peak bytes of all its processes; None if not sampled
    memory: int | None = None
    #: seconds of the canary before and after it
    canary: tuple[float, float] = (0.0, 0.0)
    #: reason of a missing result
    error: str = ""


def canary() -> float:
    """Return the seconds of a fixed single-CPU job, which shows how fast the machine is now.

    Its table exceeds the private caches of a CPU, so that it notices other users of the memory.
    """
    began = time.perf_counter()
    table = dict.fromkeys(range(200_000), 0)
    key = 1
    for _ in range(400_000):
        key = key * 1_103_515_245 % 199_999
        table[key] += 1
    return time.perf_counter() - began


def measure(order: Order, *, watched: bool, limit: float) -> list[Measured]:
    """Run the attempts of one process and return their measurements.

    Args:
        order: The attempts.
        watched: Whether to sample their memory, which costs CPU time.
        limit: Seconds until the process and its descendants are killed.
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
            # The process may have been killed just now.
            with suppress(BrokenPipeError):
                process.stdin.write("\n")
                process.stdin.flush()
        elif line.startswith(ANSWERED):
            yield {**json.loads(line.removeprefix(ANSWERED)), "memory": peak}
            # Reset the peak: memory for reading the answer does not count.
            watch.peak()


def _close(process: "subprocess.Popen[str]") -> None:
    for pipe in (process.stdin, process.stdout):
        # The process may have ended before it read the last line.
        with suppress(BrokenPipeError):
            if pipe:
                pipe.close()


class _Watch:
    """Thread that samples a process and its descendants, and kills them at the time limit."""

    def __init__(self, process: "subprocess.Popen[str]", limit: float, *, watched: bool) -> None:
        self._process, self._watched = process, watched
        self._tree = ProcessTree(process.pid)
        self._deadline = time.monotonic() + limit
        self._limit = limit
        self._peak = 0
        self._over = threading.Event()
        self.reason = ""
        self._thread = threading.Thread(target=self._sample_until_stopped)
        self._thread.start()

    def peak(self) -> int | None:
        """Return the peak since the last call; None if the memory is not sampled."""
        # Descendants of a contender still exist now; remember them, to kill them at the end.
        if not self._watched:
            self._tree.look()
            return None
        peak, self._peak = max(self._peak, self._tree.memory()), 0
        return peak

    def stop(self, *, wait: bool) -> None:
        """Stop sampling and kill the remaining processes, after a grace period if `wait` is set."""
        self._over.set()
        self._thread.join()
        self._tree.look()
        if wait:
            self._tree.end()
        self._tree.kill()
        self._process.wait()

    def _sample_until_stopped(self) -> None:
        pause = 0.0
        while not self._over.wait(min(pause, max(self._deadline - time.monotonic(), 0.0))):
            if time.monotonic() >= self._deadline:
                self.reason = f"not done after {self._limit:,.0f} s"
                self._tree.kill()
                return
            pause = self._sample()

    def _sample(self) -> float:
        """Take a sample and return the seconds until the next one."""
        if not self._watched:
            self._tree.look()
            return _LISTING_INTERVAL
        began = time.perf_counter()
        self._peak = max(self._peak, self._tree.memory())
        minimum, maximum = _SAMPLE_INTERVAL_BOUNDS
        return min(maximum, max(minimum, _SAMPLE_PAUSE_FACTOR * (time.perf_counter() - began)))


def _environment(home: str) -> dict[str, str]:
    # Without files of byte code, each attempt would compile Elastic anew, and the installed tools not.
    left_out = ("RAY_ADDRESS", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    # Workers of all engines import the functions from the checkout.
    own = {"PYTHONPATH": str(ROOT), "ELASTIC_HOME": home, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    return {**environment, **own}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


@dataclass(frozen=True, slots=True)
class Spent:
    """Median wall-clock seconds, and CPU seconds of this process, which depend less on the load of the machine."""

    seconds: float
    cpu: float


def medians(variants: Mapping[str, tuple[Callable[[], Any], Any]], rounds: int) -> dict[str, Spent]:
    """Measure variants in this process, interleaved; each round starts with another one.

    Args:
        variants: By name, a function and its expected result.
        rounds: Number of rounds.
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
                raise SystemExit(f"{name}: wrong result")
        names.rotate()
    return {name: Spent(*map(statistics.median, zip(*times, strict=True))) for name, times in spent.items()}
