"""Figures of the benchmarks of services: costs of processes, percentiles, and lines of output."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import load


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds, MiB and file descriptors of a process at a moment."""

    at: float
    cpu: float
    memory: float
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Cost":
        """Return the present cost of a process."""
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(time.monotonic(), (int(stat[11]) + int(stat[12])) / ticks, memory, files, int(stat[17]))

    def since(self, before: "Cost") -> dict[str, float]:
        """Return the share of a core since another moment, and the present amounts."""
        share = (self.cpu - before.cpu) / (self.at - before.at)
        return {
            "cpu": round(share, 4), "memory": round(self.memory, 1), "files": self.files, "threads": self.threads,
        }  # fmt: skip


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of sorted values."""
    return round(values[min(len(values) - 1, int(share * len(values)))], 3) if values else 0.0


def print_figures(scenario: Mapping[str, Any], found: Mapping[str, Any], path: Path | None) -> None:
    """Print a scenario with the load of the machine and its figures, and append them to a file as a line of JSON."""
    average, _ = load()
    line = {**scenario, "load": round(average, 1), **found}
    print("  ".join(f"{key} {value}" for key, value in line.items()), flush=True)
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")
