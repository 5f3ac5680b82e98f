"""The context of an attempt."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dag_samples import Echo, sample_dag

from elastic.dag.backend import SchedulerBackend
from elastic.dag.context import ContextServices
from elastic.dag.errors import ContextMissingError, LookupFailedError
from elastic.dag.execution.action import Action
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.states.state import TaskState


def context_of(day: str, **settings: Any) -> dict[str, Any]:
    task = Echo(task_id="t", dag=sample_dag(**settings))
    return build_context(task, task.attempt_info(day, conf={"x": 1}, attempt_uuid="abc", try_number=2))


def test_a_daily_run_knows_its_day_and_the_days_around_it() -> None:
    context = context_of("2016-02-28")
    names = ("ds", "ds_nodash", "tomorrow_ds", "yesterday_ds", "prev_ds", "next_ds", "timeperiod", "ts", "ts_nodash")
    assert [context[name] for name in names] == [
        "2016-02-28", "20160228", "2016-02-29", "2016-02-27", "2016-02-27", "2016-02-29", "20160228",
        "2016-02-28T00:00:00+00:00", "20160228T000000",
    ]  # fmt: skip
    day = timedelta(days=1)
    moment = datetime(2016, 2, 28, tzinfo=UTC)
    assert (context["execution_date"], context["logical_date"]) == (moment, moment)
    assert (context["prev_execution_date"], context["next_execution_date"]) == (moment - day, moment + day)
    assert (context["data_interval_start"], context["data_interval_end"]) == (moment, moment + day)
    assert (context["run_id"], context["try_number"], context["attempt_uuid"], context["map_index"]) == (
        "scheduled_20160228T000000", 2, "abc", -1,
    )  # fmt: skip
    assert (context["conf"], context["params"]) == ({"x": 1}, {"x": 1})
    assert context["ti"] is context["task_instance"]


def test_days_are_those_of_the_dags_clock() -> None:
    context = context_of("2016-03-27", timezone="Europe/Berlin")
    assert (context["ds"], context["tomorrow_ds"]) == ("2016-03-27", "2016-03-28")
    assert context["ts"] == "2016-03-27T00:00:00+01:00"
    assert str(context["data_interval_end"]) == "2016-03-28 00:00:00+02:00"


def test_the_two_equal_hours_of_autumn_have_contexts_of_their_own() -> None:
    task = Echo(task_id="t", dag=sample_dag(timezone="Europe/Berlin", schedule="@hourly"))
    hours = [datetime(2016, 10, 30, 2, tzinfo=task.zone, fold=fold) for fold in (0, 1)]
    found = [build_context(task, task.attempt_info(hour)) for hour in hours]
    assert [context["timeperiod"] for context in found] == ["2016103002", "2016103002b"]
    assert [context["ts"] for context in found] == ["2016-10-30T02:00:00+02:00", "2016-10-30T02:00:00+01:00"]
    assert found[0]["run_id"] != found[1]["run_id"]


def test_a_dag_without_a_schedule_has_no_days_before_or_after() -> None:
    context = context_of("2016-02-28", schedule=None)
    assert (context["prev_ds"], context["next_execution_date"]) == (None, None)
    assert context["tomorrow_ds"] == "2016-02-29"


@pytest.mark.parametrize("day", ["0001-01-02", "9999-12-30"])
def test_the_first_and_last_days_of_the_calendar_have_a_context(day: str) -> None:
    task = Echo(task_id="t", dag=sample_dag(start_date=None))
    assert build_context(task, task.attempt_info(day))["ds"] == day


def test_params_of_the_task_win_over_those_of_the_dag_and_the_request_over_both() -> None:
    task = Echo(task_id="t", dag=sample_dag(params={"a": 1, "b": 1, "c": 1}), params={"b": 2, "c": 2})
    assert build_context(task, task.attempt_info("2016-02-22", conf={"c": 3}))["params"] == {"a": 1, "b": 2, "c": 3}
    whole = Echo(task_id="u", dag=task.dag, params=datetime)
    assert build_context(whole, whole.attempt_info("2016-02-22", conf={"c": 3}))["params"] is datetime


def test_what_lies_outside_is_looked_up_when_it_is_asked_for() -> None:
    task = Echo(task_id="t")
    outside = ContextServices(
        get_variable={"a": "1"}.__getitem__, get_connection={"db": "url"}.__getitem__, settings={"s": 1}
    )
    context = build_context(task, task.attempt_info("2016-02-22"), outside)
    assert (context["var"]["a"], context["var"].get("b", 2), context["conn"]["db"]) == ("1", 2, "url")
    assert context["settings"] == {"s": 1}
    alone = build_context(task, task.attempt_info("2016-02-22"))
    with pytest.raises(LookupFailedError, match="variable 'a' is not available: this attempt has no database"):
        _ = alone["var"]["a"]
    with pytest.raises(LookupFailedError, match="connection 'db' is not available: this attempt has no database"):
        _ = alone["conn"]["db"]
    assert alone["var"].get("a", 3) == 3


def test_an_action_without_a_context_says_so() -> None:
    action = Action("copy", source="a", target="b")
    assert (action.source, action.arguments["target"], str(action)) == ("a", "b", "Action(copy)")
    for use in (action.do, lambda: action.context):
        with pytest.raises(ContextMissingError, match=r"action 'copy' has no context\. Call set_context"):
            use()
    with pytest.raises(AttributeError, match="action 'copy' has no argument or attribute 'nothing'"):
        _ = action.nothing


def test_a_task_instance_knows_its_names_its_log_and_its_command() -> None:
    ti = TaskInstance(Echo(task_id="runme_1", dag=sample_dag("example_2", start_date="2014-09-01")), "2014-09-01")
    assert ti.log_filepath == "example_2/runme_1/2014-09-01T00:00:00"
    assert str(ti.key) == "example_2.runme_1 of scheduled_20140901T000000"
    assert ti.command() == "elastic run example_2 runme_1 2014-09-01T00:00:00"
    assert ti.command(force=True, mark_success=True, ignore_dependencies=True, subdir="my dags") == (
        "elastic run example_2 runme_1 2014-09-01T00:00:00 --mark_success --force --ignore_dependencies "
        "--subdir 'my dags'"
    )
    assert str(ti.execution_date) == "2014-09-01 00:00:00"
    begun = datetime(2016, 1, 1, tzinfo=UTC)
    assert ti.set_duration(begun, begun + timedelta(seconds=3)) == ti.duration == timedelta(seconds=3)
    assert ti.set_duration(begun, None) is None


class Row:
    """Stands for the scheduler's record of an instance."""

    def __init__(self, state: str) -> None:
        self.state, self.met, self.marked, self.ran = state, True, "", False


def test_a_task_instance_asks_the_scheduler_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    row = Row("up_for_retry")
    home: Any = ModuleType("some_scheduler")
    home.instance_facts = lambda ti: row
    home.instance_state = lambda ti: TaskState(row.state) if row.state else None
    home.instance_verdicts = lambda ti, **options: [row]
    home.mark_instance = lambda ti, state: setattr(row, "marked", state)
    home.run_instance = lambda ti, **options: options
    monkeypatch.setitem(sys.modules, "some_scheduler", home)
    monkeypatch.setattr("elastic.dag.backend._BACKEND_MODULE", "some_scheduler")
    ti = TaskInstance(Echo(task_id="t"), "2016-02-22")
    assert ti.current_state() is ti.state is TaskState.UP_FOR_RETRY
    assert ti.refresh_from_db() is row
    assert (ti.is_runnable(), ti.are_dependencies_met(), ti.ready_for_retry()) == (True, True, True)
    row.met = False
    assert (ti.is_runnable(), ti.ready_for_retry()) == (False, False)
    ti.error()
    assert row.marked == "failed"
    assert ti.run(force=True) == {"force": True}
    assert hasattr(SchedulerBackend, "instance_facts")
