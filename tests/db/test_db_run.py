"""Creation, state changes, clearing and marking of runs and task instances, on every database."""

import dataclasses
import datetime as dt

import pytest
from db_samples import (
    DAY,
    claimed,
    finished,
    interrupted_commit,
    key_of,
    made_run,
    new_instance,
    new_run,
    queued,
    running,
)

from elastic.core.errors import UsageError
from elastic.dag.errors import InvalidKeyError
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.errors import RunExistsError, UnknownRowError
from elastic.db.records import LogLine, RunMode, RunType
from elastic.db.stores.xcoms import add_log_lines, push_xcoms


def test_a_run_is_made_once_for_a_logical_date(database: Database) -> None:
    conf = {"table": "words", "größe": [1, None]}
    first = transitions.ensure_run(database, new_run(conf=conf, run_type=RunType.BACKFILL))
    again = transitions.ensure_run(database, new_run(run_id="another", conf={"table": "other"}))
    assert again == first
    assert (first.state, first.attempt, first.timeperiod) == (RunState.QUEUED, 1, "20160222")
    assert (first.run_type, dict(first.conf)) == (RunType.BACKFILL, conf)
    assert (first.logical_date, first.data_interval_end) == (DAY, DAY + dt.timedelta(days=1))
    assert queries.run_of_id(database, "etl", first.run_id) == first
    assert queries.run_at(database, "etl", DAY) == first
    assert queries.run_of_timeperiod(database, "etl", "20160222") == first
    assert queries.run_of_id(database, "etl", "another") is None


def test_a_run_is_inserted_once_and_never_taken_for_another(database: Database) -> None:
    first = transitions.insert_run(database, new_run(conf={"table": "words"}))
    with pytest.raises(RunExistsError, match="has a run for 2016-02-22 00:00:00 UTC already"):
        transitions.insert_run(database, new_run(conf={"table": "words"}))
    with pytest.raises(UsageError, match="belongs to another run"):
        transitions.insert_run(database, new_run(day=1, run_id=first.run_id))
    assert queries.runs(database) == [first]


def test_a_logical_date_of_another_time_zone_is_the_same_instant(database: Database) -> None:
    first = transitions.ensure_run(database, new_run())
    abroad = DAY.astimezone(dt.timezone(dt.timedelta(hours=5)))
    assert transitions.ensure_run(database, new_run(run_id="abroad", logical_date=abroad)) == first
    assert queries.run_at(database, "etl", abroad) == first


def test_a_run_id_belongs_to_one_logical_date(database: Database) -> None:
    transitions.ensure_run(database, new_run(run_id="one"))
    with pytest.raises(UsageError, match="'one' belongs to another run of DAG 'etl'"):
        transitions.ensure_run(database, new_run(day=1, run_id="one"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"dag_id": "a/b"}, InvalidKeyError),
        ({"run_id": ".."}, InvalidKeyError),
        ({"logical_date": DAY.replace(tzinfo=None)}, UsageError),
        ({"conf": {"when": DAY}}, UsageError),
    ],
)
def test_a_run_that_cannot_be_named_is_refused(
    sqlite_database: Database, changes: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        transitions.ensure_run(sqlite_database, new_run(**changes))


def test_ids_that_differ_by_case_or_are_long_are_different(database: Database) -> None:
    long = "x" * 250
    run = made_run(database, "load", "Load", long, dag_id=long)
    other = made_run(database, "load", dag_id=long.upper())
    assert len(queries.instances(database, long, [run.run_id])) == 3
    assert queued(database, TaskKey(long, run.run_id, long), "a1")
    assert queries.states(database, other.dag_id, other.run_id) == {key_of(other, "load"): None}


def test_runs_are_read_in_the_order_of_their_dates(database: Database) -> None:
    for day in (2, 0, 3, 1):
        made_run(database, day=day)
    made_run(database, dag_id="other", day=9)
    dates = [DAY + dt.timedelta(days=day) for day in range(4)]
    assert [run.logical_date for run in queries.runs(database, "etl")] == dates
    assert [run.logical_date for run in queries.runs(database, "etl", limit=2)] == dates[2:]
    within = queries.runs(database, "etl", start=dates[1], end=dates[2], states=[RunState.QUEUED])
    assert [run.logical_date for run in within] == dates[1:3]
    assert queries.runs(database, states=[RunState.FAILED]) == []
    latest, before = queries.latest_run(database, "etl"), queries.run_before(database, "etl", dates[2])
    assert latest is not None
    assert before is not None
    assert (latest.logical_date, before.logical_date) == (dates[3], dates[1])
    assert queries.run_before(database, "etl", dates[0]) is None


def test_a_run_starts_if_not_too_many_of_its_dag_are_running(database: Database) -> None:
    runs = [made_run(database, day=day) for day in range(3)]
    ids = [run.run_id for run in runs]
    assert [transitions.start_run(database, "etl", run_id, max_active_runs=2) for run_id in ids] == [True, True, False]
    assert not transitions.start_run(database, "etl", ids[0])
    assert transitions.set_run_state(database, "etl", ids[0], RunState.SUCCESS, expected=[RunState.RUNNING])
    assert not transitions.set_run_state(database, "etl", ids[0], RunState.FAILED, expected=[RunState.RUNNING])
    assert transitions.start_run(database, "etl", ids[2], max_active_runs=2)
    done = queries.run_of_id(database, "etl", ids[0])
    assert done is not None
    assert done.started_at is not None
    assert done.ended_at is not None
    assert done.started_at <= done.ended_at


def test_reruns_of_a_run_are_kept_apart(database: Database) -> None:
    run = made_run(database, "load")
    key = key_of(run, "load")
    transitions.start_run(database, "etl", run.run_id)
    running(database, key, "a1")
    finished(database, "a1", TaskState.FAILED)
    transitions.set_run_state(database, "etl", run.run_id, RunState.FAILED)
    second = transitions.rerun(database, "etl", run.run_id, mode=RunMode.RUN_FROM, task_id="load")
    assert (second.attempt, second.state, second.ended_at) == (2, RunState.QUEUED, None)
    transitions.clear(database, [key])
    running(database, key, "a2")
    told = [
        (one.attempt, one.mode, one.task_id, one.state) for one in queries.run_attempts(database, "etl", run.run_id)
    ]
    assert told == [
        (1, RunMode.NOMINAL, None, RunState.FAILED),
        (2, RunMode.RUN_FROM, "load", RunState.QUEUED),
    ]
    kept = [(one.run_attempt, one.try_number, one.is_cleared) for one in queries.attempts(database, key)]
    assert kept == [(1, 1, True), (2, 1, False)]
    assert [one.attempt_uuid for one in queries.attempts(database, key, with_cleared=False)] == ["a2"]


def test_a_run_that_isnt_there_cannot_be_rerun(database: Database) -> None:
    with pytest.raises(UnknownRowError, match="run 'etl nothing' isn't defined"):
        transitions.rerun(database, "etl", "nothing")


def test_instances_are_made_once_and_stay_as_they_are(database: Database) -> None:
    run = made_run(database, "load", priority=7, queue="fast", operator="BashOperator")
    running(database, key_of(run, "load"), "a1")
    mapped = [new_instance(run, "each", map_index=index) for index in range(3)]
    removed = new_instance(run, "old", state=TaskState.REMOVED)
    transitions.ensure_instances(database, [new_instance(run, "load"), *mapped, removed])
    transitions.ensure_instances(database, [])
    found = queries.instances(database, "etl", [run.run_id])
    assert [(one.task_id, one.map_index) for one in found] == [
        ("each", 0),
        ("each", 1),
        ("each", 2),
        ("load", -1),
        ("old", -1),
    ]
    load = found[3]
    assert (load.state, load.priority, load.queue, load.operator) == (TaskState.RUNNING, 7, "fast", "BashOperator")
    assert found[4].state is TaskState.REMOVED
    assert str(found[0].key) == f"etl.each[0] of {run.run_id}"


def test_a_state_is_set_only_from_an_expected_one(database: Database) -> None:
    run = made_run(database, "a", "b")
    a, b = key_of(run, "a"), key_of(run, "b")
    assert transitions.set_state(database, a, TaskState.SCHEDULED, expected=[None])
    assert not transitions.set_state(database, a, TaskState.SCHEDULED, expected=[None])
    decided = transitions.set_states(
        database, [a, b, key_of(run, "c")], TaskState.SKIPPED, expected=[None], note="the branch was not taken"
    )
    assert decided == [b]
    row = queries.instance(database, b)
    assert row is not None
    assert (row.state, row.note) == (TaskState.SKIPPED, "the branch was not taken")
    assert row.ended_at is not None
    assert transitions.set_states(database, [], TaskState.SKIPPED, expected=[None]) == []


def test_an_instance_that_is_set_while_it_runs_is_fenced(database: Database) -> None:
    key = key_of(made_run(database, "load"), "load")
    running(database, key, "a1")
    assert transitions.set_state(database, key, TaskState.FAILED, expected=[TaskState.RUNNING], note="interrupted")
    assert not finished(database, "a1")
    (attempt,) = queries.attempts(database, key)
    assert (attempt.state, attempt.error) == (TaskState.FAILED, "interrupted")
    assert attempt.duration is not None


def test_cleared_instances_are_as_if_they_never_ran(database: Database) -> None:
    run = made_run(database, "a", "b", "c", max_tries=2)
    a, b, c = (key_of(run, name) for name in "abc")
    transitions.start_run(database, "etl", run.run_id)
    fresh = queries.instance(database, c)
    running(database, a, "a1")
    push_xcoms(database, a, "a1", {"k": "1"})
    finished(database, "a1")
    running(database, b, "b1")
    transitions.set_run_state(database, "etl", run.run_id, RunState.FAILED)
    before = transitions.clear(database, [a, b, c, key_of(run, "unknown")])
    assert [(one.task_id, one.state) for one in before] == [("a", TaskState.SUCCESS), ("b", TaskState.RUNNING)]
    assert fresh is not None
    for key in (a, b):
        row = queries.instance(database, key)
        assert row is not None
        assert dataclasses.replace(row, task_id="c", version=1) == fresh
    assert queries.xcoms(database, "etl", run.run_id, ["a"], "k") == []
    assert not finished(database, "b1")
    assert not claimed(database, b, "b1")
    reopened = queries.run_of_id(database, "etl", run.run_id)
    assert reopened is not None
    assert reopened.state is RunState.QUEUED
    assert transitions.clear(database, [a, b, c]) == []
    running(database, a, "a2")
    assert [one.try_number for one in queries.attempts(database, a)] == [1, 1]


def test_a_large_clear_that_was_interrupted_can_be_repeated(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elastic.db.transitions.instances._PIECE_SIZE", 2)
    runs = [made_run(database, *tasks, day=day) for day, tasks in enumerate(["ab", "cdefg"])]
    keys = [key_of(run, task) for run, tasks in zip(runs, ["ab", "cdefg"], strict=True) for task in tasks]
    transitions.mark_success(database, keys)
    for run in runs:
        transitions.set_run_state(database, "etl", run.run_id, RunState.SUCCESS)

    def states() -> list[RunState]:
        return [run.state for run in queries.runs(database, "etl")]

    with interrupted_commit(database, 3), pytest.raises(KeyboardInterrupt):
        transitions.clear(database, keys)
    assert [None if row is None else row.state for row in (queries.instance(database, key) for key in keys)] == (
        [None] * 4 + [TaskState.SUCCESS] * 3
    )
    assert states() == [RunState.QUEUED, RunState.SUCCESS]
    assert [one.task_id for one in transitions.clear(database, keys)] == ["e", "f", "g"]
    assert states() == [RunState.QUEUED, RunState.QUEUED]


def test_a_large_run_that_is_active_is_cleared_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.db.transitions.instances._PIECE_SIZE", 2)
    run = made_run(database, *"abcde")
    keys = [key_of(run, task) for task in "abcde"]
    transitions.mark_success(database, keys)
    with interrupted_commit(database, 1), pytest.raises(KeyboardInterrupt):
        transitions.clear(database, keys)
    assert set(queries.states(database, "etl", run.run_id).values()) == {TaskState.SUCCESS}
    assert len(transitions.clear(database, keys)) == 5


def test_clearing_one_copy_of_a_mapped_task_leaves_the_others(database: Database) -> None:
    run = made_run(database)
    transitions.ensure_instances(database, [new_instance(run, "each", map_index=index) for index in range(2)])
    keys = [TaskKey("etl", run.run_id, "each", index) for index in range(2)]
    for key in keys:
        running(database, key, f"u{key.map_index}")
        finished(database, f"u{key.map_index}")
    transitions.clear(database, keys[:1])
    assert queries.states(database, "etl", run.run_id) == {keys[0]: None, keys[1]: TaskState.SUCCESS}
    assert [one.is_cleared for one in queries.attempts(database, keys[1])] == [False]


def test_marked_instances_are_successful_without_an_attempt(database: Database) -> None:
    run = made_run(database, "new", "failed", "running", "done")
    keys = [key_of(run, name) for name in ("new", "failed", "running", "done")]
    running(database, keys[1], "f1")
    finished(database, "f1", TaskState.FAILED)
    running(database, keys[2], "r1")
    running(database, keys[3], "d1")
    finished(database, "d1")
    assert transitions.mark_success(database, keys) == keys[:2]
    assert transitions.mark_success(database, keys) == []
    assert queries.attempts(database, keys[0]) == []
    states = queries.states(database, "etl", run.run_id)
    assert [states[key] for key in keys] == [TaskState.SUCCESS, TaskState.SUCCESS, TaskState.RUNNING, TaskState.SUCCESS]
    assert finished(database, "r1")


def test_every_change_of_a_state_leaves_a_row_in_the_log(database: Database) -> None:
    run = made_run(database, "a", "b", max_tries=2)
    a, b = key_of(run, "a"), key_of(run, "b")
    transitions.start_run(database, "etl", run.run_id)
    transitions.set_state(database, a, TaskState.SCHEDULED, expected=[None])
    running(database, a, "a1")
    finished(database, "a1", TaskState.UP_FOR_RETRY, error="Traceback\nValueError: boom\n")
    running(database, a, "a2")
    finished(database, "a2")
    running(database, b, "b1", lease=-1)
    transitions.expire(database)
    transitions.mark_success(database, [b])
    transitions.clear(database, [b])
    transitions.set_run_state(database, "etl", run.run_id, RunState.SUCCESS)
    told = [(event.event, event.task_id, event.attempt_uuid) for event in queries.events(database, dag_id="etl")]
    assert told == [
        ("run created", None, None),
        ("run running", None, None),
        ("scheduled", "a", None),
        ("queued", "a", "a1"),
        ("running", "a", "a1"),
        ("up_for_retry", "a", "a1"),
        ("queued", "a", "a2"),
        ("running", "a", "a2"),
        ("success", "a", "a2"),
        ("queued", "b", "b1"),
        ("running", "b", "b1"),
        ("expired", "b", "b1"),
        ("marked success", "b", "b1"),
        ("cleared", "b", None),
        ("run success", None, None),
    ]
    events = queries.events(database, task_id="a", run_id=run.run_id)
    assert all(event.owner and event.at.tzinfo for event in events)
    assert [event.try_number for event in events] == [0, 1, 1, 1, 2, 2, 2]
    assert events[3].detail == "ValueError: boom"
    assert [event.event for event in queries.events(database, limit=1)] == ["run success"]


def test_what_was_not_changed_leaves_no_row_in_the_log(database: Database) -> None:
    run = made_run(database, "a")
    count = len(queries.events(database))
    key = key_of(run, "a")
    transitions.set_state(database, key, TaskState.FAILED, expected=[TaskState.RUNNING])
    claimed(database, key, "a1")
    finished(database, "a1")
    transitions.clear(database, [key])
    transitions.expire(database)
    transitions.set_run_state(database, "etl", run.run_id, RunState.SUCCESS, expected=[RunState.RUNNING])
    assert len(queries.events(database)) == count


def test_lines_of_flows_and_steps_are_kept_in_their_order(database: Database) -> None:
    run = made_run(database, "load")
    lines = [
        LogLine(
            dag_id="etl",
            run_id=run.run_id,
            run_attempt=1,
            task_id=task_id,
            at=DAY + dt.timedelta(microseconds=number),
            logger=logger,
            level="INFO",
            message=f"line {number} \N{SNOWMAN}\N{PILE OF POO}",
        )
        for number, (task_id, logger) in enumerate([(None, "etl"), ("load", "load"), ("load", "load.mkdir")])
    ]
    add_log_lines(database, lines)
    add_log_lines(database, [])
    assert queries.log_lines(database, "etl", run.run_id) == lines[:1]
    assert queries.log_lines(database, "etl", run.run_id, task_id="load") == lines[1:]
