"""The interceptors of Elastic: a log, metrics, and a progress bar."""

import json
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import elastic
from elastic.core.model.failure import Failure
from elastic.core.model.step import Progress, StepState
from elastic.interceptors import ConsoleProgress, Counters, EventLog


class Fixed:
    """A clock that stands still."""

    def now(self) -> float:
        return 1_000_000_000.0

    def monotonic(self) -> float:
        return 0.0


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_event_log_has_a_line_for_each_hop(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    result = elastic.from_range(5, chunk_size=2).run(cluster="inline", interceptor=EventLog(path), name="logged")
    lines = lines_of(path)
    assert lines[0]["event"] == "step_started"
    assert (lines[0]["name"], lines[0]["run_id"], lines[0]["state"]) == ("logged", result.run_id, "in_progress")
    assert lines[-1]["event"] == "step_ended"
    assert (lines[-1]["state"], lines[-1]["aggregated_chunks"], lines[-1]["error"]) == ("complete", 3, None)
    hops = lines[1:-1]
    assert len(hops) == 6 * 3
    (first, *_) = hops
    assert {key: first[key] for key in ("event", "chunk_id", "stage", "attempt", "task_count")} == {
        "event": "distributed", "chunk_id": 0, "stage": "distributed", "attempt": 1, "task_count": 1,
    }  # fmt: skip
    assert [line["action"] for line in hops if line["event"] == "receive" and line["chunk_id"] == 2] == [
        "send_parcel_to_master",
        "merge_processed_result",
    ]
    assert all(line["at"].endswith("+00:00") for line in lines)


def test_the_event_log_can_leave_hops_out_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, hops=False, clock=Fixed())
    for _ in range(2):
        elastic.from_range(5, chunk_size=2).run(cluster="inline", interceptor=log)
    assert [line["event"] for line in lines_of(path)] == ["step_started", "step_ended"] * 2
    assert {line["at"] for line in lines_of(path)} == {"2001-09-09T01:46:40+00:00"}


def test_the_event_log_holds_what_failed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with pytest.raises(elastic.ElasticError):
        elastic.from_iterable([0]).map(lambda n: 1 / n).run(cluster="inline", interceptor=EventLog(path))
    (failed,) = [line for line in lines_of(path) if line["event"] == "failed"]
    assert (failed["chunk_id"], failed["index"], failed["error_type"]) == (0, 0, "ZeroDivisionError")
    assert "ZeroDivisionError" in lines_of(path)[-1]["error"]


def test_an_event_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    result = elastic.from_range(5).run(cluster="inline", interceptor=EventLog(tmp_path / "nowhere" / "events.jsonl"))
    assert result.state == "complete"
    assert "interceptor EventLog.step_started raised FileNotFoundError" in result.interceptor_errors[0]


def test_counters_count_chunks_by_hop_and_entries_by_node(cluster: str) -> None:
    counters = Counters()
    elastic.from_range(50, chunk_size=4).run(cluster=cluster, interceptor=counters)
    (node,) = counters.entries
    assert counters.entries == {node: 50}
    assert counters.chunks == {
        ("distributed", node): 13,
        ("sent", node): 26,
        ("received", node): 26,
        ("aggregated", node): 13,
    }
    assert counters.failures == 0


def test_counters_count_failures() -> None:
    counters = Counters()
    counters.failed(Failure(0, 0, "entry 0", "map(f)", "ValueError", "no"))
    assert counters.failures == 1


def progress(**changes: Any) -> Progress:
    values: dict[str, Any] = {
        "run_id": "run", "step": 0, "name": "word-count", "state": StepState.IN_PROGRESS, "expected_chunks": 10,
        "cut_chunks": 6, "distributed_chunks": 5, "aggregated_chunks": 4, "entries": 12_345, "retries": 0,
        "counters": {}, "nodes": {"a": ("a/0", "a/1"), "b": ("b/0",)}, "seconds": 1.0,
    }  # fmt: skip
    return Progress(**{**values, **changes})


def drawn(*told: Progress) -> str:
    text = StringIO()
    bar = ConsoleProgress(Console(force_terminal=True, file=text, width=120, color_system=None))
    bar.step_started(told[0])
    for one in told[1:]:
        bar.progressed(one)
    bar.step_ended(told[-1], None)
    return text.getvalue()


def test_progress_is_drawn_on_a_terminal() -> None:
    text = drawn(progress(nodes={}, aggregated_chunks=0, entries=0), progress(retries=3))
    assert "word-count" in text
    assert "4/10" in text
    assert "12,345 entries, 3 workers, 3 sent again" in text


def test_progress_is_drawn_if_the_number_of_chunks_is_unknown() -> None:
    text = drawn(progress(expected_chunks=None), progress(expected_chunks=None, nodes={"a": ("a/0",)}))
    assert "4/?" in text
    assert "12,345 entries, 1 worker" in text
    assert "sent again" not in text


def test_names_that_look_like_marks_are_drawn_as_they_are() -> None:
    assert "[bold]x[/]" in drawn(progress(name="[bold]x[/]"), progress(name="[bold]x[/]"))


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    text = StringIO()
    threads = set(threading.enumerate())
    bar = ConsoleProgress(Console(file=text))
    result = elastic.from_range(100, chunk_size=3).run(cluster="inline", interceptor=bar)
    assert text.getvalue() == ""
    assert result.interceptor_errors == ()
    assert set(threading.enumerate()) <= threads


def test_a_bar_is_gone_when_the_step_has_ended_however_it_ended() -> None:
    threads = set(threading.enumerate())
    for divisor in (1, 0):
        text = StringIO()
        bar = ConsoleProgress(Console(force_terminal=True, file=text, width=120))
        flow = elastic.from_iterable([divisor], chunk_size=1).map(lambda number: 1 / number)
        if divisor:
            assert flow.run(cluster="inline", interceptor=bar).interceptor_errors == ()
        else:
            with pytest.raises(elastic.ElasticError):
                flow.run(cluster="inline", interceptor=bar)
        assert text.getvalue() != ""
        for thread in set(threading.enumerate()) - threads:
            thread.join(10)  # it ends at its next check of the flag
            assert not thread.is_alive()
