"""DAGs: tasks, links, and parts of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from dag_samples import Echo, sample_dag
from hypothesis import given
from hypothesis import strategies as st

from elastic.dag import chain
from elastic.dag.dag import DAG
from elastic.dag.errors import (
    CycleError,
    DefinitionError,
    DuplicateDependencyError,
    DuplicateTaskError,
    ForeignTaskError,
    ScheduleError,
    SchedulerNotInstalledError,
    UnknownSettingError,
    UnknownTaskError,
)
from elastic.dag.operator import BaseOperator


def tasks_of(dag: DAG, names: str) -> list[BaseOperator]:
    return [Echo(task_id=name, dag=dag) for name in names]


def ids(tasks: list[BaseOperator]) -> str:
    return "".join(task.task_id for task in tasks)


def diamond() -> DAG:
    """a before b and c, both before d, which is before e."""
    dag = sample_dag()
    a, b, c, d, e = tasks_of(dag, "abcde")
    a >> [b, c] >> d >> e
    return dag


def test_a_dag_runs_daily_with_sixteen_at_once_unless_it_says_otherwise() -> None:
    dag = DAG("plain")
    assert (dag.schedule_interval, dag.concurrency, dag.max_active_runs, dag.catchup) == (
        timedelta(days=1),
        16,
        16,
        True,
    )
    assert (dag.start_date, dag.end_date, dag.timezone, dag.owner, dag.tags) == (None, None, "UTC", "elastic", ())
    assert DAG("other", schedule_interval="@hourly", parallelism=0).concurrency == 0
    assert str(dag) == "<DAG: plain>"
    assert dag.fileloc == __file__


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shedule": "@daily"}, "DAG 'x' has no setting 'shedule'; did you mean 'schedule'?"),
        ({"schedule": None, "schedule_interval": None}, "schedule and schedule_interval are the same setting"),
        ({"concurrency": -1}, "concurrency must be a whole number >= 0, got -1"),
        ({"max_active_runs": 0}, "max_active_runs must be a whole number >= 1, got 0"),
        ({"max_active_runs": True}, "max_active_runs must be a whole number >= 1, got True"),
        ({"default_args": {"retires": 3}}, "default_args of DAG 'x' has no setting 'retires'; did you mean 'retries'?"),
        ({"start_date": "2016-02-30"}, "invalid start_date '2016-02-30'. Use YYYY-MM-DD"),
        ({"start_date": "2016-02-22", "end_date": "2016-02-21"}, "end_date .* must not be before start_date"),
        ({"timezone": "Mars/Olympus"}, "there is no time zone 'Mars/Olympus'"),
        ({"schedule": "@dayly"}, "there is no preset '@dayly'"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        DAG("x", **settings)


def test_default_args_may_say_when_a_dag_starts_and_whose_it_is() -> None:
    dag = DAG("x", default_args={"start_date": datetime(2016, 2, 22), "owner": "data", "poke_interval": 30})
    assert dag.start_date == datetime(2016, 2, 22, tzinfo=UTC)
    assert dag.owner == "data"


def test_dates_of_a_dag_are_read_on_its_own_clock() -> None:
    dag = sample_dag(timezone="Europe/Berlin")
    assert dag.start_date == datetime(2016, 2, 21, 23, tzinfo=UTC)
    assert dag.timeperiod("2016-03-27") == "20160327"
    assert str(dag.logical_date(dag.start_date)) == "2016-02-22 00:00:00+01:00"


def test_two_tasks_of_one_id_are_refused() -> None:
    dag = sample_dag()
    (a,) = tasks_of(dag, "a")
    dag.add_task(a)
    with pytest.raises(DuplicateTaskError, match="DAG 'sample' already has a task or group 'a'"):
        Echo(task_id="a", dag=dag)
    assert dag.tasks == [a]


def test_links_can_be_said_in_four_ways() -> None:
    dag = sample_dag()
    a, b, c, d = tasks_of(dag, "abcd")
    a.set_downstream([b, c])
    d.set_upstream([b])
    assert (c << d) is d
    assert ids(a.downstream_list) == "bc"
    assert ids(d.get_direct_relatives(upstream=True)) == "b"
    assert ids(c.upstream_list) == "ad"
    dag.set_dependency("b", "c")
    assert ids(c.upstream_list) == "adb"


def test_lists_can_stand_on_either_side_of_an_arrow() -> None:
    dag = sample_dag()
    a, b, c, d = tasks_of(dag, "abcd")
    [a, b] >> c
    [c] << d
    assert ids(c.upstream_list) == "abd"


def test_a_second_link_says_that_it_is_there() -> None:
    a, b = tasks_of(sample_dag(), "ab")
    a >> b
    with pytest.raises(DuplicateDependencyError, match="Dependency already registered: 'a' -> 'b'"):
        b.set_upstream(a)
    assert ids(b.upstream_list) == "a"


def test_a_cycle_names_the_tasks_on_it_and_leaves_nothing() -> None:
    dag = sample_dag()
    a, b, c = tasks_of(dag, "abc")
    chain(a, b, c)
    with pytest.raises(CycleError, match="task 'a' would depend on itself: a -> b -> c -> a"):
        c >> a
    with pytest.raises(CycleError, match="a -> a"):
        a >> a
    assert not a.upstream
    assert [task.task_id for task in dag.topological()] == ["a", "b", "c"]


def test_a_value_that_is_no_task_cannot_be_linked() -> None:
    (a,) = tasks_of(sample_dag(), "a")
    for other in ("b", ["b"], 7):
        with pytest.raises(DefinitionError, match="an arrow must connect tasks, groups or lists of tasks, got"):
            a.set_downstream(other)  # type: ignore[arg-type]


def test_tasks_of_two_dags_cannot_be_linked() -> None:
    (a,) = tasks_of(sample_dag("one"), "a")
    (b,) = tasks_of(sample_dag("two"), "b")
    with pytest.raises(ForeignTaskError, match="task 'a' belongs to DAG 'one', not to 'two'"):
        a >> b
    with pytest.raises(ForeignTaskError, match="task 'b' belongs to DAG 'two', not to 'one'"):
        a.dag.add_task(b)


def test_a_task_without_a_dag_joins_that_of_its_neighbour_with_all_that_it_is_linked_to() -> None:
    a, b, c = (Echo(task_id=name) for name in "abc")
    a >> b
    dag = sample_dag()
    dag.add_task(c)
    c >> b
    assert dag.task_ids == ["c", "b", "a"]
    assert a.dag is dag


def test_an_unknown_task_is_named_with_the_one_that_is_like_it() -> None:
    dag = sample_dag()
    Echo(task_id="load_events", dag=dag)
    with pytest.raises(UnknownTaskError, match="DAG 'sample' has no task 'load_event'; did you mean 'load_events'"):
        dag.get_task("load_event")
    with pytest.raises(UnknownTaskError, match="no task 'x'; run `elastic tasks list`"):
        dag.set_dependency("x", "load_events")
    assert dag.has_task("load_events")
    assert "x" not in dag


def test_tasks_in_a_with_block_belong_to_the_innermost_dag() -> None:
    with sample_dag("outer") as outer:
        Echo(task_id="a")
        with sample_dag("inner") as inner:
            Echo(task_id="b")
        Echo(task_id="c")
    assert (outer.task_ids, inner.task_ids) == (["a", "c"], ["b"])
    assert not Echo(task_id="d").has_dag


def test_tasks_among_the_names_of_a_script_can_be_taken_in() -> None:
    dag, other = sample_dag(), sample_dag("other")
    names = {"x": Echo(task_id="x"), "n": 7, "y": Echo(task_id="y"), "z": Echo(task_id="z", dag=other), "dag": dag}
    dag.crawl_for_tasks(names)
    assert dag.task_ids == ["x", "y"]
    dag.crawl_for_tasks(names.values())
    assert dag.task_ids == ["x", "y"]


def test_relatives_are_found_on_every_level_each_once() -> None:
    dag = diamond()
    assert ids(dag.get_task("e").get_flat_relatives(upstream=True)) == "dbca"
    assert ids(dag.get_task("a").get_flat_relatives()) == "bcde"
    assert ids(dag.roots) == "a"
    assert ids(dag.leaves) == "e"


def test_the_tree_begins_with_the_last_task_and_unfolds_each_once() -> None:
    assert diamond().tree().splitlines() == [
        "<Task(Echo): e>",
        "    <Task(Echo): d>",
        "        <Task(Echo): b>",
        "            <Task(Echo): a>",
        "        <Task(Echo): c>",
        "            <Task(Echo): a>",
    ]


def test_a_tree_of_many_ways_stays_small(capsys: pytest.CaptureFixture[str]) -> None:
    dag = sample_dag()
    layers = [[Echo(task_id=f"{layer}_{number}", dag=dag) for number in range(3)] for layer in range(30)]
    for before, after in pairwise(layers):
        for task in before:
            task >> after
    dag.tree_view()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + 29 * 9
    assert sum(line.endswith("(see above)") for line in lines) == 3 * 28 * 2


@pytest.mark.parametrize(
    ("regex", "options", "expected"),
    [
        ("^d$", {}, "abcd"),
        ("^d$", {"include_upstream": False}, "d"),
        ("^[bd]$", {"include_upstream": False}, "bd"),
        ("^d$", {"include_downstream": True}, "abcde"),
        ("^b$", {"include_downstream": True, "include_upstream": False}, "bde"),
        ("b|c", {}, "abc"),
        ("zzz", {}, ""),
    ],
)
def test_a_part_of_a_dag_is_a_copy_with_links_among_its_own(
    regex: str, options: dict[str, bool], expected: str
) -> None:
    dag = diamond()
    part = dag.sub_dag(regex, **options)
    assert ids(part.tasks) == expected
    for task in part.tasks:
        assert task.dag is part
        assert task is not dag.get_task(task.task_id)
        assert set(task.upstream) == set(dag.get_task(task.task_id).upstream) & set(expected)
        assert all(other.dag is part for other in task.upstream_list + task.downstream_list)
    assert ids(dag.tasks) == "abcde"
    assert ids(dag.get_task("d").upstream_list) == "bc"


def test_a_part_by_no_regular_expression_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"'\(' is not a regular expression"):
        diamond().sub_dag("(")


def test_a_chain_links_stations_and_pairs_lists_of_one_length() -> None:
    a, b, c, d, e, f = tasks_of(sample_dag(), "abcdef")
    chain(a, [b, c], [d, e], f)
    assert [ids(task.upstream_list) for task in (b, c, d, e, f)] == ["a", "a", "b", "c", "de"]
    with pytest.raises(DefinitionError, match="cannot pair 2 tasks with 1"):
        chain([a, b], [c])


@pytest.mark.slow
def test_a_long_chain_and_a_dense_mesh_are_linked_and_sorted() -> None:
    dag = sample_dag()
    tasks = [Echo(task_id=f"t{number}", dag=dag) for number in range(3000)]
    chain(*tasks)
    with pytest.raises(CycleError):
        tasks[-1] >> tasks[0]
    assert [task.task_id for task in dag.topological()] == dag.task_ids
    assert len(dag.sub_dag("t2999$").tasks) == 3000
    layers = [[Echo(task_id=f"m{layer}_{number}", dag=dag) for number in range(60)] for layer in range(10)]
    for before, after in pairwise(layers):
        for task in before:
            task >> after
    assert sum(1 for _ in dag.topological()) == 3600


NEEDS_A_DATABASE: list[Callable[[DAG], Any]] = [
    lambda dag: dag.run("2016-02-22", "2016-02-23"),
    lambda dag: dag.test("2016-02-22"),
    lambda dag: dag.clear(),
    lambda dag: dag.get_task_instances(),
    lambda dag: dag.latest_execution_date,
    lambda dag: dag.db_merge(),
    lambda dag: dag.get_task("a").run("2016-02-22"),
]


@pytest.mark.parametrize("call", NEEDS_A_DATABASE)
def test_what_runs_a_dag_is_looked_up_when_it_is_wanted(
    call: Callable[[DAG], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elastic.dag.backend._BACKEND_MODULE", "elastic.nowhere.port")
    with pytest.raises(SchedulerNotInstalledError, match="needs the scheduler"):
        call(diamond())


def test_a_dag_is_not_pickled_into_a_database() -> None:
    with pytest.raises(DefinitionError, match="elastic run --bundle"):
        diamond().pickle()


def test_bad_dates_of_a_run_are_refused_before_anything_is_looked_up() -> None:
    with pytest.raises(ScheduleError, match="invalid start_date 'soon'"):
        diamond().run("soon")


def test_an_unknown_keyword_of_a_task_is_named() -> None:
    with pytest.raises(UnknownSettingError, match="Echo 'a' has no setting 'poool'; did you mean 'pool'"):
        Echo(task_id="a", poool="x")


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), unique=True, max_size=40))
def test_a_link_is_refused_exactly_when_it_would_close_a_cycle(pairs: list[tuple[int, int]]) -> None:
    dag = sample_dag()
    tasks = tasks_of(dag, "abcdefgh")
    for one, other in pairs:
        would_close = one == other or tasks[one] in tasks[other].get_flat_relatives()
        try:
            tasks[one] >> tasks[other]
        except CycleError as error:
            assert would_close
            steps = error.path.split(" -> ")
            assert steps[0] == steps[-1] == tasks[other].task_id
            assert steps[-2] == tasks[one].task_id
            for before, after in pairwise(steps[:-1]):
                assert after in dag.get_task(before).downstream
        else:
            assert not would_close
    order = [task.task_id for task in dag.topological()]
    assert sorted(order) == list("abcdefgh")
    for task in tasks:
        assert all(order.index(before) < order.index(task.task_id) for before in task.upstream)


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        (
            {"schedule_interval": "@hourly"},
            "schedule_interval of task 't' has no effect: the schedule of the DAG takes precedence.",
        ),
        ({"email": "me@example.org", "email_on_retry": True}, None),
        ({"email": None}, None),
        ({"schedule_interval": "@daily"}, None),
        ({"retries": 2, "owner": "me", "start_date": "2016-02-22", "text": "a"}, None),
    ],
)
def test_a_setting_without_effect_is_a_warning(settings: dict[str, Any], warning: str | None) -> None:
    for own, default in ((settings, {}), ({}, {name: value for name, value in settings.items() if name != "text"})):
        dag = sample_dag(default_args=default)
        Echo(task_id="t", dag=dag, **own)
        assert dag.warnings == ([] if warning is None else [warning])


def test_settings_of_a_dag_without_effect_are_warnings() -> None:
    class Own(BaseOperator):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.mine = self.default("mine", None)

    dag = sample_dag(default_args={"mine": 1, "sla": 2, "email": "me@example.org"})
    assert dag.warnings == []
    for number in range(5):
        Own(task_id=f"t{number}", dag=dag)
    assert dag.warnings == [
        "default_args['sla'] has no effect: no task of the DAG reads it.",
    ]
