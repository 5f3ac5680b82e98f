"""Layer C: real Ray and real signals, one cluster at a time."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.core.errors import ClusterError
from elastic.testing import RayCluster
from tests.faults import freezing, killing, misuse, starting
from tests.faults import local_faults as misfortune
from tests.faults.cluster_faults import AttackedRun, Attacks, Order
from tests.faults.partition import divide

#: Names of the attacks, in the order in which they run.
PARTS = ("disk", "kill", "start", "freeze", "answers", "memory", "cut", "head")


@dataclass(frozen=True, slots=True)
class Aims:
    """Numbers of attacks on a real cluster."""

    workers: int = 0
    nodes: int = 0
    masters: int = 0
    heads: int = 0
    #: kills of any worker, including starting ones
    starts: int = 0
    #: number of each of the other attacks
    times: int = 0
    #: seconds after which no new attack begins
    seconds: float = 0.0
    parts: tuple[str, ...] = PARTS


#: Maximum number of kills in one run; then another run begins.
_WORKERS, _NODES, _MASTERS, _HEADS, _STARTS = 50, 10, 10, 4, 17


class Campaign:
    """Attacks runs until the aims are reached, or the time is over.

    Args:
        aims: Numbers of attacks.
        folder: For the homes of runs.
        seed: Seed of the random generator.
    """

    def __init__(self, aims: Aims, folder: Path, seed: int) -> None:
        self.attacks = Attacks()
        self._aims, self._folder, self._seed = aims, folder, seed
        self._until = time.monotonic() + aims.seconds
        self._number = 0

    def carry_out(self) -> None:
        """Carry out all attacks of the aims."""
        doing = {
            "disk": self._without_cluster,
            "kill": self._kill,
            "start": self._kill_any,
            "freeze": self._freeze,
            "answers": self._lose_answers,
            "memory": self._overfill,
            "cut": self._cut,
            "head": self._kill_heads,
        }
        for part in PARTS:
            if part in self._aims.parts:
                doing[part]()

    def _without_cluster(self) -> None:
        misfortune.open_old_run(self.attacks)
        misfortune.fill_disk(self.attacks, range(self._seed, self._seed + 3 * self._aims.times))

    def _kill(self) -> None:
        aims, done = self._aims, self.attacks.done
        with self._cluster() as cluster:
            while self._wants("worker killed", aims.workers) or self._wants("node removed", aims.nodes):
                workers = min(_WORKERS, aims.workers - done["worker killed"])
                nodes = min(_NODES, aims.nodes - done["node removed"])
                killing.storm(self._attacked(cluster, "a storm", 40_000), workers, nodes, self._until)
            while self._wants("master killed", aims.masters):
                count = min(_MASTERS, aims.masters - done["master killed"])
                killing.kill_masters(self._attacked(cluster, "masters killed", 20_000), count, self._until)

    def _kill_any(self) -> None:
        aims, options = self._aims, {"heartbeat": starting.HEARTBEAT}
        with self._cluster(starting.IMPATIENT) as cluster:
            while (done := starting.kills(self.attacks)) < aims.starts and self._goes_on():
                attacked = self._attacked(cluster, "any worker", 20_000, options=options)
                starting.storm(attacked, min(_STARTS, aims.starts - done), self._until)

    def _freeze(self) -> None:
        options = {"heartbeat": freezing.HEARTBEAT}
        with self._cluster() as cluster:
            for _ in self._turns(self._aims.times):
                freezing.freeze(self._attacked(cluster, "frozen", 60_000, options=options), self._until)
                freezing.straggle(
                    self._attacked(cluster, "a straggler", 1_000, seconds=0.02, options=freezing.STRAGGLING)
                )
                for number in misuse.SIGNALS:
                    freezing.signalled(self._attacked(cluster, number.name, 6_000), number)
                for retries in misuse.RETRIES:
                    misuse.kill_retried(self._attacked(cluster, "retries", 20_000, retries=retries), 5, self._until)

    def _lose_answers(self) -> None:
        with self._cluster(misuse.LOSING) as cluster:
            for _ in self._turns(self._aims.times):
                misuse.lose_answers(self._attacked(cluster, "lost answers", 4_000), retried=False)
                attacked = self._attacked(cluster, "lost answers, retries", 4_000, retries=misuse.RETRIES[0])
                misuse.lose_answers(attacked, retried=True)

    def _overfill(self) -> None:
        with self._cluster(misuse.little_memory()) as cluster:
            misuse.overfill(self._attacked(cluster, "no memory", 20_000), self._aims.times, self._until)

    def _cut(self) -> None:
        for turn in self._turns(self._aims.times):
            divide(self.attacks, self._folder / f"divided{turn}")

    def _kill_heads(self) -> None:
        before = -1
        while (done := self._heads()) < self._aims.heads and before < done and self._goes_on():
            before = done
            with self._cluster() as cluster:
                attacked = self._attacked(cluster, "heads killed", 20_000, options={"heartbeat": 5})
                killing.kill_heads(attacked, RayCluster, min(_HEADS, self._aims.heads - done), self._until)

    def _heads(self) -> int:
        return sum(times for kind, times in self.attacks.done.items() if kind.startswith("head killed"))

    def _wants(self, kind: str, wanted: int) -> bool:
        return self.attacks.done[kind] < wanted and self._goes_on()

    def _goes_on(self) -> bool:
        return time.monotonic() < self._until and len(self.attacks.problems) < 10

    def _turns(self, count: int) -> Iterator[int]:
        for turn in range(count):
            if not self._goes_on():
                break
            yield turn

    def _attacked(self, cluster: RayCluster, name: str, entries: int, **order: Any) -> AttackedRun:
        self._number += 1
        home = self._folder / f"home{self._number}"
        return AttackedRun(
            cluster, home, Order(entries=entries, **order), self.attacks, f"run {self._number}, {name}", self._seed
        )

    @contextmanager
    def _cluster(self, environment: dict[str, str] | None = None) -> Iterator[RayCluster]:
        with RayCluster(cpus=(2, 2), environments=(environment or {},) * 2) as cluster:
            yield cluster


def attack_runs(aims: Aims, seed: int = 0) -> tuple[Attacks, float]:
    """Attack real runs; return the outcome, and the seconds that it took."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="elastic-attacked-"))
    campaign = Campaign(aims, folder, seed)
    try:
        campaign.carry_out()
    except ClusterError as error:
        campaign.attacks.problems.append(f"the cluster did not start: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return campaign.attacks, time.monotonic() - began
