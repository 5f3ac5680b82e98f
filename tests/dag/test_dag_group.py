"""Groups of tasks."""

import pytest
from dag_samples import Echo, sample_dag

from elastic.dag import TaskGroup
from elastic.dag.errors import DefinitionError, DuplicateTaskError


def test_tasks_of_a_group_have_its_name_and_share_its_arrows() -> None:
    with sample_dag() as dag:
        first, last = Echo(task_id="first"), Echo(task_id="last")
        with TaskGroup("load") as load:
            a, b = Echo(task_id="a"), Echo(task_id="b")
            with TaskGroup("inner"):
                c = Echo(task_id="c")
            a >> b
        first >> load >> last
    assert dag.task_ids == ["first", "last", "load.a", "load.b", "load.inner.c"]
    assert set(first.downstream) == {"load.a", "load.inner.c"}
    assert set(last.upstream) == {"load.b", "load.inner.c"}
    assert sorted(dag.groups) == ["load", "load.inner"]
    assert (a.group, c.group) == (load, dag.groups["load.inner"])
    assert [task.task_id for task in load.tasks] == ["load.a", "load.b", "load.inner.c"]


def test_a_group_may_leave_ids_alone() -> None:
    with sample_dag() as dag, TaskGroup("load", prefix_group_id=False):
        Echo(task_id="a")
    assert dag.task_ids == ["a"]


def test_two_groups_can_follow_each_other() -> None:
    with sample_dag() as dag:
        with TaskGroup("one") as one:
            Echo(task_id="a")
        with TaskGroup("two") as two:
            Echo(task_id="b")
        one >> two
    assert set(dag.get_task("two.b").upstream) == {"one.a"}


def test_a_group_shares_its_names_with_the_tasks() -> None:
    with sample_dag():
        Echo(task_id="a")
        TaskGroup("g")
        for make in (lambda: TaskGroup("a"), lambda: TaskGroup("g"), lambda: Echo(task_id="g")):
            with pytest.raises(DuplicateTaskError, match="already has a task or group"):
                make()


def test_a_group_without_a_dag_is_refused() -> None:
    with pytest.raises(DefinitionError, match="group 'g' belongs to no DAG"):
        TaskGroup("g")


def test_a_task_that_is_given_another_dag_is_not_taken_into_the_open_group() -> None:
    other = sample_dag("other")
    with sample_dag(), TaskGroup("g"):
        task = Echo(task_id="a", dag=other)
    assert (task.task_id, task.group) == ("a", None)


def test_a_part_of_a_dag_with_groups_can_be_taken() -> None:
    with sample_dag() as dag:
        with TaskGroup("load") as load:
            Echo(task_id="a")
        load >> Echo(task_id="b")
    assert dag.sub_dag("^b$").task_ids == ["load.a", "b"]
