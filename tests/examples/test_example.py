"""The examples, run as a user runs them."""

import os
import re
import runpy
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
from cluster_driver import run_driver

from elastic.testing import RayCluster

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(
    str(path.relative_to(EXAMPLES))
    for path in EXAMPLES.rglob("*.py")
    if not {"dags", "event_pipeline"} & set(path.parts)
)


@cache
def printed_by(name: str, *arguments: str) -> tuple[str, ...]:
    """Run an example in a separate process with warnings as errors; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    if "inline" in arguments:
        assert done.stderr == ""
    return tuple(done.stdout.splitlines())


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_example_runs_without_a_warning_and_prints_something(name: str) -> None:
    assert printed_by(name, "inline")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_example_is_short_and_says_how_to_run_it(name: str) -> None:
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    assert len(source.splitlines()) < 60
    assert f"python examples/{name}" in source


def test_the_table_of_contents_names_each_example_once() -> None:
    contents = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\(([\w/]+\.py)\)", contents)) == SCRIPTS


@pytest.mark.parametrize("arguments", [("inline",), pytest.param((), marks=pytest.mark.cluster)])
def test_word_count_counts_the_words_of_the_help(arguments: tuple[str, ...]) -> None:
    *rows, account = printed_by("word_count.py", *arguments)
    words = Counter(" ".join(topics.values()).split())
    found = {word: int(count.replace(",", "")) for count, word in map(str.split, rows)}
    assert found == {word: words[word] for word in found}
    assert sorted(found.values()) == sorted(count for _, count in words.most_common(5))
    lines = sum(map(len, map(str.splitlines, topics.values())))
    assert account.startswith(f"complete: {lines:,} entries in {len(topics)} chunks aggregated exactly once")


def test_frames_hold_the_words_of_the_help() -> None:
    *rows, _, account = printed_by("frames.py", "inline")
    words = Counter(" ".join(topics.values()).split())
    assert [row.split() for row in rows] == [[f"{count:,}", word] for word, count in words.most_common(3)]
    assert account.startswith("complete: ")


def test_the_index_of_a_users_aggregator_is_complete() -> None:
    told, account = printed_by("own_aggregator.py", "inline")
    expected = sorted(topic for topic, text in topics.items() if "generator" in text.split())
    assert told == "generator: " + ", ".join(expected)
    assert account.startswith(f"complete: {len(topics)} entries")


def test_an_interceptor_prints_the_hops_of_each_chunk_in_their_order() -> None:
    *hops, counts, account = printed_by("ancestors/elasticflow_style.py", "inline")
    seen = defaultdict(list)
    for hop in hops:
        _, chunk, action, *_ = hop.split()
        seen[chunk].append(action)
    journey = ["distributed", "sent", "received", "sent", "received", "aggregated"]
    assert seen == {"0": journey, "1": journey}
    assert "'to': 4" in counts
    assert "'the': 2" in counts
    assert account.startswith("complete: 4 entries in 2 chunks")


def test_a_failing_step_does_not_stop_the_others() -> None:
    longest, inverses, total = printed_by("step_queue.py", "inline")
    assert longest.split() == ["longest", "complete", "216"]
    assert inverses.startswith("inverses  error")
    assert "failed on number 0" in inverses
    assert total.split() == ["total", "complete", str(sum(range(1, 3_000)))]


def test_the_statistics_of_a_log_are_those_of_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["log_statistics.py", "inline"])
    script = runpy.run_path(str(EXAMPLES / "log_statistics.py"))
    log = tmp_path / "log.jsonl"
    script["write_log"](log, 20_000)
    times: dict[str, list[int]] = defaultdict(list)
    for line in log.read_text(encoding="utf-8").splitlines():
        request: dict[str, Any] = script["json"].loads(line)
        if request["status"] < 500:
            times[request["page"]].append(request["ms"])
    *rows, account = capsys.readouterr().out.splitlines()
    assert rows == [
        f"{page:<8} {sum(ms) / len(ms):7.2f} ms on average, {max(ms)} ms at worst" for page, ms in sorted(times.items())
    ]
    assert account.startswith("complete: 20,000 entries")


@pytest.mark.cluster
def test_the_driver_script_of_a_ray_cluster_accounts_for_each_entry_by_node(ray_nodes: RayCluster) -> None:
    done = run_driver(EXAMPLES / "ray_cluster.py", ray_nodes)
    assert done.returncode == 0, done.stderr[-3000:]
    factors, *nodes, account = done.stdout.splitlines()
    assert factors == printed_by("ray_cluster.py", "inline")[0]
    assert sum(int(node.split()[1].replace(",", "")) for node in nodes) == 299_998
    # On a busy machine a process may be silent for too long; then the ledger resends some chunks.
    state, exact = account.split(": ", 1)
    assert state in ("complete", "complete_with_retries")
    assert exact.startswith("299,998 entries in 300 chunks aggregated exactly once")


@pytest.mark.parametrize(
    "arguments", [("inline", "20000"), pytest.param(("local", "20000"), marks=pytest.mark.cluster)]
)
def test_poison_entries_are_redriven_into_the_whole_result(arguments: tuple[str, ...]) -> None:
    printed = "\n".join(printed_by("poison_entries.py", *arguments))
    poison = {"1234"} if "inline" in arguments else {"1234", "5678", "9012"}
    assert set(re.findall(r"  number (\d+):", printed)) == poison
    assert f"sum of squares: {sum(n * n for n in range(20_000))}, as expected: True" in printed
    assert "verified: 20,000 entries" in printed


def test_a_killed_master_is_resumed_to_the_same_result() -> None:
    printed = "\n".join(printed_by("killed_master.py", "inline"))
    assert "ended by signal 9" in printed
    assert "same result: True" in printed
