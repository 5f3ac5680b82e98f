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


def quick(folder: Path, *engines: str) -> list[dict[str, Any]]:
    """Run all workloads at small sizes and return the measurements."""
    told = folder / "measured.jsonl"
    sizes = ["--quick", "--megabytes", "1", "--text", "python", "--cache", str(folder)]
    arguments = [*sizes, "--json", str(told), "--engines", *engines]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]


def labels(*engines: str) -> set[tuple[str, str]]:
    """Return the workload and label of the contenders of some engines, and of their baselines."""
    found = set()
    for key, workload in WORKLOADS.items():
        asked = [one for one in workload.contenders if one.engine in engines]
        found |= {(key, one.label) for one in asked} | {(key, one.baseline) for one in asked}
        found |= {(key, workload.contenders[0].baseline)}
    return found


@pytest.mark.parametrize(
    "engines",
    [("elastic inline", "pool", "python"), pytest.param(("elastic local",), marks=pytest.mark.cluster)],
    ids=lambda engines: engines[0],
)
@pytest.mark.timeout(600)
def test_every_workload_has_the_answer_of_the_plain_loop(engines: tuple[str, ...], tmp_path: Path) -> None:
    page = PAGE.read_bytes()
    measured = quick(tmp_path, *engines)
    assert PAGE.read_bytes() == page, "figures of small sizes do not go to the page"
    assert [one for one in measured if one["error"]] == []
    assert {(one["workload"], one["contender"]) for one in measured} == labels(*engines)
    for key in WORKLOADS:
        answers = [one["check"] for one in measured if one["workload"] == key]
        assert answers == [answers[0]] * len(answers), key
    # A look at a flow has no cluster.
    without = {"take", "take-files"} if "elastic inline" not in engines else set()
    assert {key for key, label in labels(*engines) if label.startswith("elastic")} == set(WORKLOADS) - without
    words = {one["workload"]: one["check"] for one in measured if "total" in one["check"]}
    assert words["W1"]["total"] > words["W1"]["distinct"] > 10_000
    assert words["W1d"]["distinct"] < words["W1"]["distinct"]
    assert words["W1-frames"] == words["W1-parts"] == words["W1"]
    assert words["W5"]["keys"] == WORKLOADS["W5"].least // 2
