"""Real Ray and real signals, one cluster at a time: layer C."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elastic.core.errors import ClusterError
from elastic.testing import RayCluster

DRIVER = Path(__file__).with_name("driver.py")


@dataclass(slots=True)
class Attacks:
    """What was done to the cluster, and what came of it."""

    done: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    entries: int = 0
    #: seconds from the start of a master's process that goes on to its end
    resumes: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Siege:
    """Attacks runs on a cluster of two nodes until enough was done or the time is over."""

    def __init__(self, cluster: RayCluster, folder: Path, seed: int, until: float) -> None:
        self.cluster, self.folder, self.until = cluster, folder, until
        self.dice = random.Random(seed)
        self.attacks = Attacks()
        self._living = 1
        self._number = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until

    def kill_workers(self, count: int, entries: int) -> None:
        """Kill workers of one run, each as soon as it has begun to work."""
        home, driver = self._begin(entries)
        self._each(driver, count, lambda: self._kill_worker(home), 1.0)
        self._end(driver, entries)

    def remove_nodes(self, count: int, entries: int) -> None:
        """Remove a node of one run, and add another one, again and again."""
        home, driver = self._begin(entries)
        self._each(driver, count, lambda: self._replace_node(home), 3.0)
        self._end(driver, entries)

    def kill_masters(self, count: int, entries: int) -> None:
        """Kill the master of one run, and the next ones while they go on with it."""
        home, driver = self._begin(entries)
        for _ in range(count):
            try:
                driver.wait(self.dice.uniform(4, 8))
                break
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.communicate()
                self.attacks.done["master killed"] += 1
            began = any((home / "runs").glob("*/run.sqlite"))
            driver = self._start("resume" if began else "begin", home, entries)
            if self.is_over:
                break
        self._end(driver, entries, resumed=True)

    # -- one attack

    def _each(self, driver: "subprocess.Popen[str]", count: int, attack: Any, pause: float) -> None:
        done = 0
        while done < count and driver.poll() is None and not self.is_over:
            threading.Event().wait(self.dice.uniform(0.2, pause))
            done += attack()

    def _kill_worker(self, home: Path) -> bool:
        for path in sorted((home / "pids").glob("*"), key=lambda _: self.dice.random()):
            path.unlink()
            # Its number could belong to another process by now.
            if b"WorkerActor" in _command(int(path.name)):
                os.kill(int(path.name), signal.SIGKILL)
                self.attacks.done["worker killed"] += 1
                return True
        return False

    def _replace_node(self, home: Path) -> bool:
        pids = [path for path in (home / "pids").glob("*") if b"WorkerActor" in _command(int(path.name))]
        if len(pids) < len(self.cluster._cpus):
            return False  # the node is not at work yet
        self.cluster.stop_node(self._living)
        self.attacks.done["node removed"] += 1
        threading.Event().wait(self.dice.uniform(0.2, 2))
        self.cluster._start(1)
        self._living = len(self.cluster._nodes) - 1
        self.attacks.done["node added"] += 1
        return True

    # -- one run

    def _begin(self, entries: int) -> tuple[Path, "subprocess.Popen[str]"]:
        self._number += 1
        home = self.folder / f"home{self._number}"
        driver = self._start("begin", home, entries)
        return home, driver

    def _start(self, how: str, home: Path, entries: int) -> "subprocess.Popen[str]":
        command = [sys.executable, str(DRIVER), how, str(home), str(entries)]
        # Of its own group, so that ending it ends nothing else.
        return subprocess.Popen(
            command, env=self.cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def _end(self, driver: "subprocess.Popen[str]", entries: int, *, resumed: bool = False) -> None:
        try:
            output, errors = driver.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            driver.kill()
            output, errors = driver.communicate()
            self.attacks.problems.append(f"run {self._number} does not come to its end")
        lines = [line for line in output.splitlines() if line.startswith("{")]
        self.attacks.runs += 1
        if driver.returncode != 0 or not lines:
            self.attacks.problems.append(f"run {self._number} ended with {driver.returncode}: {errors[-1500:]}")
            return
        told = json.loads(lines[-1])
        self.attacks.entries += told["entries"]
        self.attacks.counters.update(told["counters"])
        if resumed:
            self.attacks.resumes.append(told["seconds"])
        expected = {"entries": entries, "sum": sum(range(entries)), "twice": [], "distinct": entries}
        if told["value"] != expected or told["entries"] != entries:
            self.attacks.problems.append(f"run {self._number}: the answer is {told['value']}, not {expected}")
        if set(told["receipts"].values()) != {told["chunks"]}:
            self.attacks.problems.append(f"run {self._number}: receipts {told['receipts']}")


def besiege(*, workers: int, nodes: int, masters: int, seconds: float, seed: int = 0) -> Attacks:
    """Attack real runs until so many workers, nodes and masters were killed, or the time is over."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="elastic-siege-"))
    attacks = Attacks()
    try:
        with RayCluster(cpus=(1, 1)) as cluster:
            siege = Siege(cluster, folder, seed, began + seconds)
            attacks = siege.attacks
            plan = (
                ("master killed", masters, 10, siege.kill_masters, 4000),
                ("node removed", nodes, 5, siege.remove_nodes, 3000),
                ("worker killed", workers, 20, siege.kill_workers, 5000),
            )
            for kind, wanted, at_once, attack, entries in plan:
                while attacks.done[kind] < wanted and not siege.is_over and len(attacks.problems) < 3:
                    attack(min(at_once, wanted - attacks.done[kind]), entries)
    except ClusterError as error:
        attacks.problems.append(f"the cluster did not start: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    attacks.seconds = time.monotonic() - began
    return attacks


def _command(process_id: int) -> bytes:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return b""
