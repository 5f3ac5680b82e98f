"""Walks over the steps of a DAG: Synergy's unit flows."""

import pytest
from dag_samples import sample_dag

from elastic.dag.dag import DAG
from elastic.dag.errors import UnknownTaskError
from elastic.dag.states.state import TaskState
from elastic.dag.traversal import TaskIterator


def unit_flow() -> DAG:
    """Eight steps, each after the one before."""
    dag = sample_dag("unit_flow")
    for number in range(1, 9):
        dag.append(f"step_{number}", [f"step_{number - 1}"] if number > 1 else [])
    return dag


def names(*numbers: int) -> list[str]:
    return [f"step_{number}" for number in numbers]


def visited(walk: TaskIterator, failing: str = "") -> list[str]:
    found = []
    for task in walk:
        found.append(task.task_id)
        walk.end(task.task_id, TaskState.FAILED if task.task_id == failing else TaskState.SUCCESS)
    return found


def test_the_eight_steps_come_in_order() -> None:
    assert visited(TaskIterator(unit_flow())) == names(*range(1, 9))


def test_the_walk_stops_after_the_step_that_failed() -> None:
    walk = TaskIterator(unit_flow())
    assert visited(walk, failing="step_4") == names(1, 2, 3, 4)
    assert walk.is_failed("step_4")
    assert not walk.is_unblocked("step_5")
    assert list(walk) == []


def test_a_failing_step_stops_free_steps_beside_it_as_well() -> None:
    dag = sample_dag()
    for name in ("step_1", "step_2", "step_3"):
        dag.append(name)
    dag.append("step_4", ["step_1", "step_2"]).append("step_5", ["step_4"])
    assert visited(TaskIterator(dag), failing="step_2") == names(1, 2)


def test_dependants_are_found_on_every_level() -> None:
    walk = TaskIterator(unit_flow())
    assert walk.dependants_of("step_6") == names(7, 8)
    assert walk.dependants_of("step_8") == []
    with pytest.raises(UnknownTaskError):
        walk.dependants_of("step_9")


def test_a_walk_continues_after_complete_steps() -> None:
    done = {"step_1": TaskState.SUCCESS, "step_2": TaskState.SKIPPED, "step_3": TaskState.FAILED}
    assert visited(TaskIterator(unit_flow(), done)) == names(*range(3, 9))


def test_a_skipped_step_counts_as_complete() -> None:
    walk = TaskIterator(unit_flow())
    first = next(walk)
    assert not walk.is_unblocked("step_2")
    walk.end(first.task_id, TaskState.SKIPPED)
    assert walk.is_unblocked("step_2")
    assert next(walk).task_id == "step_2"


def test_no_step_is_visited_while_an_earlier_one_runs() -> None:
    walk = TaskIterator(unit_flow())
    next(walk)
    assert list(walk) == []
