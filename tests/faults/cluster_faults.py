"""One attacked run on a real cluster: its start, its busy processes, and the check of its answer."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elastic.testing import RayCluster

DRIVER = Path(__file__).with_name("driver.py")

#: Seconds in which a run must end after the last fault.
PATIENCE = 120

#: Exit code of a driver whose run can be resumed after a repair.
SUSPENDED = 75


@dataclass(slots=True)
class Attacks:
    """Counts of the attacks on runs, and their outcome."""

    done: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    entries: int = 0
    #: seconds from the start of a resuming master's process to its end
    resumes: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Order for a driver."""

    entries: int
    #: seconds that an entry takes
    seconds: float = 0.01
    options: dict[str, Any] = field(default_factory=dict)
    #: recovery by Ray that a user might enable by mistake
    retries: dict[str, int] | None = None

    def text(self) -> str:
        told: dict[str, Any] = {"entries": self.entries, "seconds": self.seconds, "options": self.options}
        return json.dumps(told if self.retries is None else {**told, "retries": self.retries})


class AttackedRun:
    """A run on a cluster.

    Args:
        cluster: The cluster of the run.
        home: The home of the run.
        order: The order for its drivers.
        attacks: Counts to which this run adds.
        name: Name of the run in problems.
        seed: Seed of its random generator.
    """

    def __init__(
        self, cluster: RayCluster, home: Path, order: Order, attacks: Attacks, name: str, seed: int = 0
    ) -> None:
        self.cluster, self.home, self.order, self.attacks, self.name = cluster, home, order, attacks, name
        self.rng = random.Random(f"{seed} {name}")
        self.is_resumed = False
        #: output of the driver, once it has ended
        self._printed: tuple[str, str] | None = None

    def begin(self, **environment: str) -> None:
        """Start the first master."""
        self.driver = self._start("begin", environment)

    def resume(self, cluster: RayCluster | None = None) -> None:
        """Start another master, on another cluster if there is one."""
        self.cluster = cluster or self.cluster
        began = any((self.home / "runs").glob("*/run.sqlite"))
        self.is_resumed = self.is_resumed or began
        for mark in (self.home / "busy").glob("*"):
            mark.unlink(missing_ok=True)
        self.driver = self._start("resume" if began else "begin", {})

    def second_master(self) -> "subprocess.Popen[str]":
        """Start a second master while the first one lives."""
        return self._start("resume", {})

    def hurry(self) -> None:
        """Let entries take no time."""
        (self.home / "hurry").touch()

    def is_over(self) -> bool:
        return self.driver.poll() is not None

    def busy(self) -> list[int]:
        """Return the processes that have an entry at work, in a random order."""
        marks = [int(path.name) for path in (self.home / "busy").glob("*")]
        alive = sorted(pid for pid in marks if b"WorkerActor" in command_of(pid))
        self.rng.shuffle(alive)
        return alive

    def wait_for_work(self, until: float) -> bool:
        """Wait until workers process entries; return False if the run ended or the time is over."""
        while not self.busy() and not self.is_over() and time.monotonic() < until:
            pause(0.05)
        return bool(self.busy())

    def freeze_at_work(self) -> int | None:
        """Freeze a worker that processes an entry, and return its process; None if there is none."""
        for pid in self.busy():
            if not send(pid, signal.SIGSTOP):
                continue
            for _ in range(100):
                if _state(pid) != "T":
                    pause(0.005)
            # Only a frozen process is certain to be inside the entry.
            if (self.home / "busy" / str(pid)).exists():
                return pid
            send(pid, signal.SIGCONT)
        return None

    def kill_at_work(self) -> bool:
        """Kill a worker in the middle of an entry."""
        pid = self.freeze_at_work()
        if pid is None:
            return False
        send(pid, signal.SIGKILL)
        (self.home / "busy" / str(pid)).unlink(missing_ok=True)
        self.attacks.done["worker killed"] += 1
        return True

    def kill_master(self) -> None:
        self.driver.kill()
        self.driver.communicate()
        self.attacks.done["master killed"] += 1

    def end(self, *, hurry: bool = True) -> dict[str, Any]:
        """Wait for the end of the run, and check its answer; return the ledger's counters."""
        if hurry:
            self.hurry()
        return self.judge(*self.ended())

    def judge(self, code: int, output: str, errors: str) -> dict[str, Any]:
        """Check the answer of a run that has ended; return the ledger's counters."""
        lines = [line for line in output.splitlines() if line.startswith("{")]
        self.attacks.runs += 1
        if code != 0 or not lines:
            self.wrong(f"ended with {code}: {errors[-1500:]}")
            return {}
        told = json.loads(lines[-1])
        count = self.order.entries
        self.attacks.entries += told["entries"]
        self.attacks.counters.update(told["counters"])
        if self.is_resumed:
            self.attacks.resumes.append(told["seconds"])
        expected = {"entries": count, "sum": sum(range(count)), "twice": [], "distinct": count}
        if told["value"] != expected or told["entries"] != count:
            self.wrong(f"the answer is {told['value']}, not {expected}")
        if set(told["receipts"].values()) != {told["chunks"]}:
            self.wrong(f"receipts {told['receipts']}")
        counters: dict[str, Any] = told["counters"]
        return counters

    def ended(self) -> tuple[int, str, str]:
        """Wait for the end of the driver, and return its exit code and its output; may be called again."""
        if self._printed is None:
            try:
                self._printed = self.driver.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.driver.kill()
                self._printed = self.driver.communicate()
                self.wrong(f"does not come to its end: {self.where()}")
        return self.driver.returncode, *self._printed

    def where(self) -> str:
        """Return a description of the live processes of the cluster."""
        nodes = [node.poll() for node in self.cluster._nodes]
        return f"nodes ended with {nodes}, {len(self.busy())} workers are at work"

    def wrong(self, what: str) -> None:
        self.attacks.problems.append(f"{self.name}: {what}")

    def _start(self, how: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
        self.home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(DRIVER), how, str(self.home), self.order.text()]
        self._printed = None
        # In its own process group, so that killing the group kills nothing else.
        return subprocess.Popen(
            command, env={**self.cluster.environment, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip


def members(node: "subprocess.Popen[bytes]", word: bytes) -> Iterator[int]:
    """Yield the processes of a node whose command contains a word."""
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if word in command_of(pid) and belongs(pid, node):
            yield pid


def belongs(pid: int, node: "subprocess.Popen[bytes]") -> bool:
    """Return whether a node started a process."""
    # Workers have process groups of their own, and the session of their node.
    try:
        return os.getsid(pid) == node.pid
    except ProcessLookupError:
        return False


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def send(pid: int, number: int) -> bool:
    """Send a signal to a process of the campaign; return whether it existed."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "T"
