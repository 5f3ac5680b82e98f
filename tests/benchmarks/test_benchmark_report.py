"""The tables of the benchmarks: wrong answers show, figures are in the right cells, memory sums over all processes."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from benchmarks.measurement import Measured
from benchmarks.process_tree import ProcessTree
from benchmarks.report import Report, write
from benchmarks.sample_text import NO_TEXT
from benchmarks.workload import words_check
from benchmarks.workloads import WORKLOADS

PAGE = Path(__file__).parents[2] / "docs" / "internals" / "performance.md"

PLAIN, INLINE, POOL = "python: loop", "elastic inline: map", "pool: imap_unordered"


def report(*rounds: dict[str, Measured]) -> Report:
    workload = WORKLOADS["W4"]
    contenders = [one for one in workload.contenders if one.engine != "dask"]
    return Report(workload, contenders, 1000, NO_TEXT, date(2026, 1, 2), {"dask: futures": "dask"}, list(rounds))


def measured(contender: str, seconds: float, inside: int = 785) -> Measured:
    canary = (0.1, 0.1)
    return Measured(
        workload="W4", contender=contender, seconds=seconds, start=1.0, check={"inside": inside}, canary=canary
    )


def turn(plain: float, inline: float, inside: int = 785) -> dict[str, Measured]:
    return {PLAIN: measured(PLAIN, plain), INLINE: measured(INLINE, inline, inside)}


def test_a_ratio_is_that_of_the_medians() -> None:
    told = report(turn(2.0, 1.0), turn(30.0, 10.0), turn(4.0, 2.0))
    (inline,) = [one for one in WORKLOADS["W4"].contenders if one.label == INLINE]
    assert told.ratio(inline) == 2.0
    assert f"| **{INLINE}** | 2.00 (1.00 to 10.0) | 500 | 2.00 | 3.00 |  | equal |" in str(told)
    assert told.problems == []


def test_who_did_a_part_of_the_work_is_compared_by_speed() -> None:
    workload = WORKLOADS["growth"]
    labels = {1: "elastic inline: all", 100: "elastic inline: a hundredth"}
    one = {
        label: Measured(workload="growth", contender=label, seconds=seconds, check={"off by": 0}, canary=(0.1, 0.1))
        for label, seconds in zip(labels.values(), (400.0, 2.0), strict=True)
    }
    contenders = [contender for contender in workload.contenders if contender.label in one]
    told = Report(workload, contenders, workload.full, NO_TEXT, date(2026, 1, 2), rounds=[one])
    assert {contender.fraction: told.ratio(contender) for contender in contenders} == {1: 0.5, 100: 1.0}


def test_an_answer_that_differs_is_seen() -> None:
    told = report(turn(2.0, 1.0), turn(2.0, 1.0, inside=786))
    assert told.problems == [f"W4, {INLINE}: {{'inside': 786}} is not {{'inside': 785}}"]
    assert "**DIFFERS**" in str(told)


def test_a_failure_of_elastic_is_a_problem_and_one_of_another_tool_is_reported() -> None:
    ours = Measured(workload="W4", contender=INLINE, error="ClusterError: gone")
    others = Measured(workload="W4", contender=POOL, error="OSError: a|b")
    told = report({PLAIN: measured(PLAIN, 1.0), INLINE: ours, POOL: others})
    assert told.problems == [f"W4, {INLINE}: ClusterError: gone"]
    assert f"| {POOL} | failed: OSError: a b |" in str(told)


def test_a_contender_with_fewer_rounds_is_named() -> None:
    told = report({**turn(2.0, 1.0), POOL: measured(POOL, 40.0)}, turn(2.0, 1.0))
    assert f"In fewer rounds, because an attempt took too long or failed: {POOL}.\n" in str(told)
    assert f"| {POOL} | 40.0 |" in str(told)


def test_a_table_says_what_was_skipped_and_that_the_machine_was_busy() -> None:
    told = report(turn(1.0, 1.0))
    assert "Skipped: dask: futures (dask is not installed)." in str(told)
    assert "do not trust" not in str(told)
    told.rounds[0][PLAIN] = Measured(workload="W4", contender=PLAIN, seconds=1.0, canary=(0.1, 0.2))
    assert "Canary: 0.100 to 0.200 s, so the machine had other work: **do not trust these figures**." in str(told)


def test_only_the_table_of_what_was_measured_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    before = page.read_text(encoding="utf-8").splitlines()
    write(page, report(turn(2.0, 1.0)))
    write(page, report(turn(4.0, 1.0)))
    after = page.read_text(encoding="utf-8").splitlines()
    first, last = "<!-- measured: W4 -->", "<!-- /measured: W4 -->"
    assert before[: before.index(first) + 1] == after[: after.index(first) + 1]
    assert before[before.index(last) :] == after[after.index(last) :]
    assert [line for line in after if line.startswith(f"| **{INLINE}**")] == [
        f"| **{INLINE}** | 1.00 | 1,000 | 4.00 | 2.00 |  | equal |"
    ]


@pytest.mark.parametrize("key", WORKLOADS)
def test_the_page_has_a_place_for_every_workload(key: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(f"<!-- measured: {key} -->\n## {key}: ") == page.count(f"<!-- /measured: {key} -->") == 1


def test_one_word_more_or_less_shows_in_the_check() -> None:
    counts = {str(number): number for number in range(100)}
    same = words_check(counts)
    assert words_check(dict(reversed(counts.items()))) == same
    assert words_check({word.encode(): number for word, number in counts.items()}) == same
    assert words_check({**counts, "50": 51, "20": 19}) != same
    assert words_check({**counts, "x": 0}) != same


#: Allocates memory in a child process, prints a line, and waits.
_PARENT = """
import subprocess, sys
child = "taken = bytearray(b'x') * (64 << 20); print(len(taken), flush=True); input()"
subprocess.run([sys.executable, "-c", child])
"""


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="this system has no /proc")
def test_memory_is_that_of_all_processes_and_none_is_left() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        tree = ProcessTree(process.pid)
        assert process.stdout is not None
        process.stdout.readline()
        assert tree.memory() > 64 << 20
        assert len(tree.look()) == 2
        tree.kill()
        process.wait()
        tree.end()
        assert tree.look() == []
