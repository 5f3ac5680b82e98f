"""The structure of a DAG as JSON."""

import copy
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from dag_samples import Echo, Noted, sample_dag
from hypothesis import given
from hypothesis import strategies as st

from elastic.core.errors import ElasticError
from elastic.dag import TaskGroup
from elastic.dag.dag import DAG
from elastic.dag.errors import SerializedDagError
from elastic.dag.serialized_dag import from_dict, to_dict
from elastic.dag.timetable.schedule import NoSchedule, Schedule


def wide_dag(**settings: Any) -> DAG:
    with sample_dag("wide", tags=["a", "b"], doc="# Wide", owner="data", timezone="Europe/Berlin", **settings) as dag:
        first = Echo(task_id="first", retries=2, retry_delay=1.5, execution_timeout=60, pool="big", doc="first of all")
        with TaskGroup("load") as load:
            Echo.partial(task_id="mapped", pre=[Noted("p")], post=[Noted("q")]).expand(text=[1, 2])
        first >> load >> Echo(task_id="last", trigger_rule="all_done", skip=True, end_date="2016-03-01")
    return dag


STORED = json.loads(json.dumps(to_dict(wide_dag(), "abc")))


def test_a_structure_is_json_and_describes_the_dag_without_its_file() -> None:
    found = from_dict(STORED)
    assert (found.dag_id, found.source_digest, found.fields["timezone"]) == ("wide", "abc", "Europe/Berlin")
    assert list(found.tasks) == ["first", "load.mapped", "last"]
    first, mapped, last = found.tasks.values()
    assert (first.retries, first.retry_delay, first.execution_timeout, first.pool) == (2, 1.5, 60.0, "big")
    assert (first.downstream, mapped.upstream, mapped.downstream) == (("load.mapped",), ("first",), ("last",))
    assert (mapped.is_mapped, mapped.operator_type, mapped.group, mapped.pre) == (True, "Echo", "load", ["p"])
    assert (last.trigger_rule, last.skip, last.end_date) == ("all_done", True, "2016-02-29T23:00:00+00:00")
    with pytest.raises(AttributeError, match="a stored task has no 'execute'"):
        _ = first.execute


def test_the_same_dag_has_the_same_structure() -> None:
    assert json.dumps(to_dict(wide_dag(), "abc")) == json.dumps(STORED)


@pytest.mark.parametrize(
    "schedule", ["@daily", "@once", None, "30 2 * * 1-5", timedelta(days=1), timedelta(hours=7), "@hourly"]
)
def test_a_stored_schedule_has_the_slots_of_the_dag(schedule: Any) -> None:
    dag = wide_dag(schedule=schedule)
    found = from_dict(json.loads(json.dumps(to_dict(dag)))).schedule
    assert type(found) is type(dag.schedule)
    assert str(found) == str(dag.schedule)
    end = dag.instant("2016-04-30")
    assert dag.start_date is not None
    assert list(found.intervals(dag.start_date, end)) == list(dag.schedule.intervals(dag.start_date, end))


def test_a_schedule_of_a_users_own_class_is_shown_and_has_no_slots_without_the_file() -> None:
    class Moon(Schedule):
        def next(self, logical_date: datetime) -> datetime | None:
            return logical_date + timedelta(days=29)

        previous = first = next

        def __str__(self) -> str:
            return "each new moon"

    stored = to_dict(wide_dag(schedule=Moon()))
    assert stored["schedule"]["text"] == "each new moon"
    assert isinstance(from_dict(stored).schedule, NoSchedule)


def changed(*path: Any, to: Any) -> Any:
    stored = copy.deepcopy(STORED)
    place = stored
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return stored


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (changed("schema", to=5), "stored DAG must have schema 4, got 5"),
        (changed("schema", to=True), "'schema' of the DAG has the invalid type bool"),
        (changed("extra", to=1), "the DAG has an unknown key 'extra'"),
        (changed("tasks", 0, "class", to="os.system"), "a task has an unknown key 'class'"),
        (changed("tasks", 0, "retries", to="2"), "'retries' of a task has the invalid type str"),
        (changed("tasks", 0, "upstream", to=["nobody"]), "task 'first' depends on 'nobody', which does not exist"),
        (changed("tasks", 0, "upstream", to=[{"a": 1}]), "upstream of task 'first' must all be strings"),
        (changed("tasks", 1, "task_id", to="first"), "task 'first' occurs twice"),
        (changed("tasks", to={}), "'tasks' of the DAG has the invalid type dict"),
        (changed("tasks", to=[7]), "a task must be an object, got int"),
        (changed("schedule", "kind", to="elastic.dag.timetable.schedule.CronSchedule"), "unknown kind of schedule"),
        (changed("schedule", "kind", to="cron"), None),
        (changed("schedule", "kind", to="interval"), "the schedule of kind 'interval' has no value"),
        (changed("dag_id", to="../x"), "invalid dag_id '../x'"),
        (changed("timezone", to="../../etc/passwd"), "there is no time zone"),
        (changed("start_date", to="soon"), "invalid start_date 'soon'"),
        ([], "the DAG must be an object, got list"),
        ({}, "the DAG has no key 'callbacks'"),
    ],
)
def test_a_value_that_is_no_structure_is_refused_in_one_sentence(stored: Any, said: str | None) -> None:
    with pytest.raises(ElasticError, match=said):
        from_dict(stored)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["os.system", "elastic.dag.dag.DAG", "__import__", "builtins.eval"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.sampled_from(sorted(STORED.keys() - {"tasks"})), ANYTHING)
def test_any_other_value_is_refused_or_read_and_nothing_else_happens(name: str, value: Any) -> None:
    try:
        found = from_dict(changed(name, to=value))
    except (SerializedDagError, ElasticError):
        return
    assert found.fields[name] == value
    assert isinstance(found.schedule, Schedule)


@given(ANYTHING.filter(lambda value: value != []))
def test_tasks_of_any_other_form_are_refused(value: Any) -> None:
    with pytest.raises(ElasticError):
        from_dict(changed("tasks", to=value))


@given(st.sampled_from(sorted(STORED["tasks"][0])), ANYTHING)
def test_any_other_value_in_a_task_is_refused_or_read(name: str, value: Any) -> None:
    try:
        found = from_dict(changed("tasks", 0, name, to=value))
    except ElasticError:
        return
    assert next(iter(found.tasks.values())).fields[name] is value
