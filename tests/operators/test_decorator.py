"""Functions that are tasks and DAGs."""

from pathlib import Path
from typing import Any

import pytest
from operator_samples import DAY, attempt, sample_dag

from elastic.dag import TaskGroup
from elastic.dag.context import ContextServices
from elastic.dag.dag import DAG
from elastic.dag.errors import MappingError
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.operator import MappedOperator
from elastic.operators import dag, task


@task
def numbers() -> list[int]:
    """Some numbers."""
    return [1, 2, 3]


@task(retries=2, task_id="double")
def twice(number: int, ds: str, times: int = 2) -> list[Any]:
    return [number * times, ds]


@task
def total(rows: list[Any]) -> int:
    return sum(row[0] for row in rows)


@dag(start_date=DAY, schedule="@daily", tags=["sample"])
def report(times: int = 2) -> None:
    """Adds numbers up."""
    total(twice.partial(times=times).expand(number=numbers()))


def run_all(found: DAG) -> Any:
    """Run all tasks of a DAG and return the result of the last one."""
    services = ContextServices()
    result = None
    for one in found.topological():
        if isinstance(one, MappedOperator):
            count = one.count(lambda task_id, key: [1, 2, 3])
            result = [attempt(one, services=services, map_index=index).result for index in range(count)]
        else:
            result = attempt(one, services=services).result
    return result


def test_values_go_from_function_to_function() -> None:
    found = report()
    assert found.tree().splitlines() == [
        "<Task(PythonOperator): total>",
        "    <Task(PythonOperator): double>",
        "        <Task(PythonOperator): numbers>",
    ]
    assert (found.dag_id, found.doc, found.tags, found.fileloc) == ("report", "Adds numbers up.", ("sample",), __file__)
    assert found.get_task("double").retries == 2
    assert found.get_task("numbers").doc == "Some numbers."
    assert run_all(found) == 12
    assert run_all(report(times=5)) == 30


def test_a_second_call_makes_a_second_task() -> None:
    with sample_dag() as found:
        numbers()
        numbers()
        numbers.override(task_id="more")()
        with TaskGroup("g"):
            numbers()
            numbers()
    assert found.task_ids == ["numbers", "numbers__1", "more", "g.numbers", "g.numbers__1"]


def test_outputs_can_be_linked_like_tasks() -> None:
    with sample_dag() as found:
        first, last = numbers(), numbers()
        first >> last
        [first] >> numbers()
    assert set(found.get_task("numbers").downstream) == {"numbers__1", "numbers__2"}


def test_functions_can_choose_and_stop() -> None:
    @task.branch
    def choose() -> str:
        return "numbers"

    @task.short_circuit(task_id="go_on")
    def is_late(ds: str) -> bool:
        return ds > "2016-12-31"

    with sample_dag() as found:
        choose() >> [numbers(), numbers()]
        is_late() >> numbers.override(task_id="late")()
    assert attempt(found.get_task("choose")).skipped_task_ids == ("numbers__1",)
    assert attempt(found.get_task("go_on")).skipped_task_ids == ("late",)


def test_a_function_can_be_mapped_over_rows() -> None:
    with sample_dag() as found:
        twice.expand_kwargs([{"number": 1}, {"number": 2, "times": 10}])
    assert run_all(found) == [[2, DAY], [20, DAY]]


def test_a_shared_argument_cannot_be_expanded_too() -> None:
    with sample_dag(), pytest.raises(MappingError, match="'number' is both shared and expanded"):
        twice.partial(number=1).expand(number=[1])


def test_a_decorated_dag_needs_no_name_in_its_file(tmp_path: Path) -> None:
    head = "from elastic.operators import dag, task\n@task\ndef one():\n    return 1\n"
    text = head + "@dag()\ndef made():\n    one()\nmade()\n"
    (tmp_path / "a.py").write_text(text)
    bag = DagBag(tmp_path)
    assert bag.import_errors == {}
    assert (bag.get_dag("made").fileloc, bag.get_dag("made").task_ids) == (str(tmp_path / "a.py"), ["one"])


def test_the_names_that_a_user_guesses_are_there() -> None:
    import elastic.operators

    assert elastic.DAG is DAG
    assert [name for name in elastic.operators.__all__ if not hasattr(elastic.operators, name)] == []
    with pytest.raises(AttributeError, match=r"module 'elastic\.operators' has no attribute 'BashOperatr'"):
        _ = elastic.operators.BashOperatr
