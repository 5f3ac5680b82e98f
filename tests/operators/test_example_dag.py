"""The example DAGs."""

import runpy
from pathlib import Path

import pytest
from operator_samples import attempt

from elastic.dag.files.dag_bag import DagBag

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "dags"


def test_the_example_dags_load() -> None:
    bag = DagBag(FOLDER)
    assert bag.import_errors == {}
    assert {dag.dag_id: dag.task_count for dag in bag}.items() >= {"example_1": 3, "example_2": 13}.items()


def test_example_2_has_thirteen_tasks_that_meet_in_the_last() -> None:
    dag = DagBag(FOLDER / "example_2.py").get_dag("example_2")
    assert [task.task_id for task in dag.leaves] == ["run_this_last"]
    assert set(dag.get_task("run_this").upstream) == {f"runme_{number}" for number in range(10)}
    assert set(dag.get_task("run_this_last").upstream) == {"run_this", "also_run_this"}


def test_a_task_of_example_2_echoes_its_number_and_date() -> None:
    task = DagBag(FOLDER / "example_2.py").get_dag("example_2").get_task("runme_1")
    assert str(task) == "<Task(BashOperator): runme_1>"
    assert attempt(task).result == "1: 2016-02-22 00:00:00"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("example_[12].py")))
def test_an_example_dag_shows_its_tree_as_a_script(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("<Task(EmptyOperator): ")
    assert lines[1].startswith("    <Task(BashOperator): ")
