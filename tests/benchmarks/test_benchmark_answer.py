"""The benchmarks at small sizes: every contender gives the answer of the plain loop."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "internals" / "performance.md"


def quick(folder: Path, workloads: tuple[str, ...], *engines: str) -> list[dict[str, Any]]:
    """Run workloads at small sizes and return the measurements."""
    told = folder / "measured.jsonl"
    sizes = ["--quick", "--megabytes", "1", "--text", "python", "--cache", str(folder)]
    arguments = [*sizes, "--json", str(told), "--engines", *engines]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *workloads, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]


def labels(workloads: tuple[str, ...], *engines: str) -> set[tuple[str, str]]:
    """Return the workload and label of the contenders of some engines, and of their baselines."""
    found = set()
    for key in workloads:
        workload = WORKLOADS[key]
        asked = [one for one in workload.contenders if one.engine in engines]
        found |= {(key, one.label) for one in asked} | {(key, one.baseline) for one in asked}
        found |= {(key, workload.contenders[0].baseline)}
    return found


#: On a cluster, where each run starts processes: a workload with each way to do it. Most others differ by their input.
WITH_CLUSTER = ("W1", "W1-frames", "W5", "W6", "W7", "W9")


@pytest.mark.parametrize(
    ("workloads", "engines"),
    [
        pytest.param(tuple(WORKLOADS), ("elastic inline", "pool", "python"), id="inline"),
        pytest.param(WITH_CLUSTER, ("elastic local",), marks=pytest.mark.cluster, id="local"),
    ],
)
@pytest.mark.timeout(600)
def test_every_workload_has_the_answer_of_the_plain_loop(
    workloads: tuple[str, ...], engines: tuple[str, ...], tmp_path: Path
) -> None:
    page = PAGE.read_bytes()
    measured = quick(tmp_path, workloads, *engines)
    assert PAGE.read_bytes() == page, "figures of small sizes do not go to the page"
    assert [one for one in measured if one["error"]] == []
    assert {(one["workload"], one["contender"]) for one in measured} == labels(workloads, *engines)
    for key in workloads:
        answers = [one["check"] for one in measured if one["workload"] == key]
        assert answers == [answers[0]] * len(answers), key
    assert {key for key, label in labels(workloads, *engines) if label.startswith("elastic")} == set(workloads)
    words = {one["workload"]: one["check"] for one in measured if "total" in one["check"]}
    assert words["W1"]["total"] > words["W1"]["distinct"] > 10_000
    assert words["W1-frames"] == words.get("W1-parts", words["W1"]) == words["W1"]
    assert "W1d" not in words or words["W1d"]["distinct"] < words["W1"]["distinct"]
    assert words["W5"]["keys"] == WORKLOADS["W5"].least // 2
