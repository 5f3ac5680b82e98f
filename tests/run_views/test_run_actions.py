"""Actions on a run: processes of their own with a log, whose end is seen whatever happens."""

import datetime as dt
import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import elastic
from elastic.aggregators import Sum
from elastic.core.errors import UsageError
from elastic.persistence.home import Home
from elastic.run_actions import (
    ACTIONS,
    ActionKind,
    ActionState,
    RunAction,
    actions_of,
    find,
    log_of,
    output_of,
    refusal,
    start,
)
from tests.run_views.stored_run_samples import (
    ACTION,
    HOSTILE_TEXTS,
    RUN,
    Sample,
    damage,
    make_run,
    opened,
    store_action,
)

NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


def ended(home: Path, run_id: str, action: RunAction) -> RunAction:
    """Return an action after its end; the lock that its process holds is released then."""
    with (home / "runs" / run_id / ACTIONS / f"{action.action_id}.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    found = find(Home(home), run_id, action.action_id)
    assert found is not None
    return found


def test_a_verification_leaves_what_it_found(home: Path) -> None:
    result = elastic.from_iterable(range(10), chunk_size=2).aggregate(Sum()).run(cluster="inline")
    action = start(Home(home), result.run_id, ActionKind.VERIFY, 0, owner="ada", now=NOW)
    found = ended(home, result.run_id, action)
    assert (found.state, found.exit_code, found.owner) == (ActionState.DONE, 0, "ada")
    output = output_of(Home(home), result.run_id, action.action_id)
    assert output is not None
    assert (output["ok"], output["steps"][0]["root"]) == (True, result.root)
    assert actions_of(Home(home), result.run_id) == [found]


def test_a_verification_of_a_damaged_run_fails_and_names_the_finding(home: Path) -> None:
    folder = make_run(home)
    damage(folder, "UPDATE receipt SET data=x'00' WHERE first=4")
    action = start(Home(home), RUN, ActionKind.VERIFY, 0, owner="ada", now=NOW)
    found = ended(home, RUN, action)
    output = output_of(Home(home), RUN, action.action_id)
    assert (found.state, found.exit_code) == (ActionState.FAILED, 1)
    assert output is not None
    assert output["findings"]


def test_the_log_of_an_action_has_no_secrets(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_VAR_API_TOKEN", "canary of the log")
    print_it = "import os\nprint('told', os.environ['ELASTIC_VAR_API_TOKEN'], flush=True)\n"
    (tmp_path / "told.py").write_text(print_it + "raise ValueError('canary of the log')\n")
    folder = make_run(home, Sample(state="error", manifest={"target": "told.py:flow", "folder": str(tmp_path)}))
    action = start(Home(home), RUN, ActionKind.RESUME, 0, owner="ada", now=NOW)
    assert ended(home, RUN, action).state is ActionState.FAILED
    written = (folder / ACTIONS / f"{action.action_id}.log").read_text()
    assert "told ***" in written
    assert "canary" not in written


def test_a_second_action_waits_for_the_first(home: Path) -> None:
    make_run(home)
    action = start(Home(home), RUN, ActionKind.VERIFY, 0, owner="ada", now=NOW)
    with pytest.raises(UsageError, match="ada started verify"):
        start(Home(home), RUN, ActionKind.VERIFY, 0, owner="max", now=NOW)
    assert ended(home, RUN, action).state is not ActionState.RUNNING


def test_of_actions_that_start_at_the_same_moment_one_does(home: Path) -> None:
    folder = make_run(home)
    begin = threading.Barrier(8)

    def attempt(number: int) -> str:
        begin.wait()
        try:
            return start(Home(home), RUN, ActionKind.VERIFY, 0, owner=f"user {number}", now=NOW).action_id
        except UsageError:
            return ""

    with ThreadPoolExecutor(8) as threads:
        started = [action_id for action_id in threads.map(attempt, range(8)) if action_id]
    assert [path.stem for path in (folder / ACTIONS).glob("*.json")] == started
    (action,) = actions_of(Home(home), RUN)
    ended(home, RUN, action)


def test_an_action_whose_process_was_killed_died(home: Path) -> None:
    folder = make_run(home)
    (folder / "run.sqlite-journal").unlink(missing_ok=True)
    action = start(Home(home), RUN, ActionKind.VERIFY, 0, owner="ada", now=NOW)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue
        if action.action_id.encode() in words:
            os.kill(int(process.parent.name), signal.SIGKILL)
    assert ended(home, RUN, action).state is ActionState.DIED


@pytest.mark.parametrize(
    ("kind", "sample", "letters", "words"),
    [
        (ActionKind.VERIFY, Sample(), 0, None),
        (ActionKind.RESUME, Sample(), 0, "nothing to resume"),
        (ActionKind.RESUME, Sample(state="error"), 0, "elastic resume"),
        (ActionKind.RESUME, Sample(state="error", manifest={"task": "etl.load of r1"}), 0, "clear that task instance"),
        (ActionKind.RESUME, Sample(state="error", manifest={"target": "a.py:f", "folder": "/"}), 0, None),
        (ActionKind.REDRIVE, Sample(), 0, "no dead letters"),
        (ActionKind.REDRIVE, Sample(state="error"), 2, "resume it before"),
        (ActionKind.REDRIVE, Sample(), 2, "elastic dead-letters redrive"),
        (ActionKind.REDRIVE, Sample(manifest={"target": "a.py:f", "folder": "/"}), 2, None),
    ],
)
def test_an_action_that_cannot_work_is_refused_with_advice(
    home: Path, kind: ActionKind, sample: Sample, letters: int, words: str | None
) -> None:
    reader, record = opened(make_run(home, sample))
    reader.close()
    found = refusal(kind, record, RUN, letters)
    assert (found is None) if words is None else (found is not None and words in found)


@pytest.mark.parametrize("action_id", ["", "../../etc/passwd", "20261130T120000-verify-zzzzzz", "x" * 5000, "a\0b"])
def test_an_unknown_action_is_none(home: Path, action_id: str) -> None:
    make_run(home)
    assert find(Home(home), RUN, action_id) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: [],
        lambda facts: {**facts, "kind": "format"},
        lambda facts: {**facts, "step": "0"},
        lambda facts: {**facts, "started_at": "yesterday"},
        lambda facts: {**facts, "started_at": "2026-11-30T12:00:00"},
        lambda facts: {**facts, "exit_code": 1 << 40},
        lambda facts: {},
    ],
)
def test_a_damaged_action_is_left_out(home: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = store_action(make_run(home))
    assert [action.action_id for action in actions_of(Home(home), RUN)] == [ACTION]
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert actions_of(Home(home), RUN) == []


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_log_moves_no_cursor(home: Path, text: str) -> None:
    store_action(make_run(home), log=text.encode("utf-8", "surrogatepass"))
    found = log_of(Home(home), RUN, ACTION)
    assert not any(character in found for character in "\0\x1b\u202e\u2028")
