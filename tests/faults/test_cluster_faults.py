"""Parts of the attacks on real clusters that can be tested without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.cluster_faults import DRIVER, Attacks, Order
from tests.faults.local_faults import fill_disk, open_old_run
from tests.faults.report import Report

ROOT = Path(__file__).parents[2]


def drive(how: str, home: Path, order: Order) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(DRIVER), how, str(home), order.text()],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_resumed_driver_whose_run_is_complete_tells_the_value_that_is_kept(tmp_path: Path) -> None:
    order = Order(entries=200, seconds=0.0, options={"cluster": "inline"})
    first, second = (drive(how, tmp_path / "home", order) for how in ("begin", "resume"))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    told, again = json.loads(first.stdout), json.loads(second.stdout)
    assert told["value"] == {"entries": 200, "sum": sum(range(200)), "twice": [], "distinct": 200}
    assert [again[name] for name in ("value", "entries", "receipts")] == [
        told[name] for name in ("value", "entries", "receipts")
    ]


def test_a_run_of_an_older_format_is_refused_by_its_version_and_left_as_it_is() -> None:
    attacks = Attacks()
    open_old_run(attacks)
    assert attacks.problems == []
    assert attacks.done["run of an older format"] == 1


def test_a_disk_of_eight_megabytes_that_stays_full_suspends_a_run_which_goes_on() -> None:
    attacks = Attacks()
    fill_disk(attacks, range(2, 3))
    assert attacks.problems == []
    if attacks.skipped:
        pytest.skip("; ".join(attacks.skipped))
    assert attacks.done["disk full, suspended and resumed"] == 1


def test_figures_of_several_campaigns_are_added_up() -> None:
    catch = {"mutant": "no bit check", "layer": "A", "caught": True, "by": ["the answer"], "skipped": None}
    first, second = Report("short", seeds=(0, 80)), Report("short", seeds=(80, 100))
    first.simulated.runs, second.simulated.runs = 80, 20
    second.points.problems.append("entries lost")
    report = Report.of({**first.plain(), "mutants": [catch]}, second.plain())
    text = str(report)
    assert "| runs | 100 | 0 | 0 | 0 |" in text
    assert "| **runs with entries lost** | 0 | 0 | 1 | 0 |" in text
    assert "| **caught / total** | | **1 / 1** |" in text
    assert report.problems == ["entries lost"]
