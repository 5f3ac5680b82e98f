"""`elastic timeperiod`: the mode of a run, and Synergy's states of a flow and its steps."""

from pathlib import Path

import pytest

from elastic.core.errors import UsageError
from elastic.db import queries
from elastic.db.records import RunMode
from elastic.scheduler.catalog.dag_catalog import find
from elastic.scheduler.commands.recover import mode_of, run_in_mode
from elastic.scheduler.commands.trigger import trigger_run
from elastic.scheduler.deployment import Deployment
from tests.command_process import ended, started

DAG_TEXT = """
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import PythonOperator

def note(task):
    with Path({ran!r}).open("a") as file:
        file.write(task.task_id + " ")
    if task.task_id == "second" and Path({bad!r}).exists():
        raise ValueError("bad")

with DAG({dag_id!r}, schedule="@daily", start_date="2016-02-22") as dag:
    first = PythonOperator(task_id="first", python_callable=note)
    first >> PythonOperator(task_id="second", python_callable=note)
"""


def written(path: Path, home: Path, dag_id: str = "daily") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(DAG_TEXT.format(ran=str(home / "ran"), bad=str(home / "bad"), dag_id=dag_id))


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ((), RunMode.NOMINAL),
        (("", None, "recovery"), RunMode.RECOVERY),
        ((None, "run_one", "recovery"), RunMode.RUN_ONE),
        (("run_from", "run_one", "recovery"), RunMode.RUN_FROM),
        (("nominal", "run_one", "recovery"), RunMode.NOMINAL),
    ],
)
def test_the_mode_is_that_of_the_request_else_of_the_record_else_of_the_process(
    given: tuple[str | None, ...], mode: RunMode
) -> None:
    assert mode_of(*given) is mode


def test_modes_run_what_they_name_and_states_are_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home / "dags" / "daily.py", home)
    (home / "bad").touch()
    monkeypatch.setenv("ELASTIC__CORE__RUN_MODE", "recovery")
    assert "in mode nominal" in ended(started("timeperiod", "run", "daily", "20160222"))
    shown = ended(started("timeperiod", "show", "daily", "20160222"))
    assert "daily 20160222: invalid, mode nominal, execution 1" in shown
    assert [line.split()[:3] for line in shown.splitlines()[-2:]] == [
        ["first", "processed", "success"],
        ["second", "invalid", "failed"],
    ]
    (home / "bad").unlink()
    assert "in mode recovery" in ended(started("timeperiod", "run", "daily", "20160222"))
    ended(started("timeperiod", "run", "daily", "20160222", "--mode", "run_one", "--task", "first"))
    assert (home / "ran").read_text().split() == ["first", "second", "second", "first"]
    assert ": processed, mode run_one, execution 3" in ended(started("timeperiod", "show", "daily", "20160222"))
    wrong = started("timeperiod", "run", "daily", "20160222", "--mode", "run_from")
    assert "mode run_from needs a task; name it" in ended(wrong)
    assert wrong.returncode == 2


def test_the_record_of_a_run_names_its_mode(home: Path) -> None:
    written(home / "dags" / "daily.py", home)
    deployment = Deployment.of()
    dag = find(deployment, "daily")
    run = trigger_run(deployment, dag, dag.instant("2016-02-22"), None, {"run_mode": "recovery"})
    said: list[str] = []
    assert run_in_mode(deployment, dag, run.run_id, said.append).succeeded
    assert said[0] == f"Running daily for {run.run_id} in mode recovery"
    assert queries.run_attempts(deployment.database, "daily", run.run_id)[-1].mode is RunMode.RECOVERY
    with pytest.raises(UsageError, match="unknown run mode 'nightly'"):
        run_in_mode(deployment, dag, run.run_id, said.append, request="nightly")


def test_a_module_gives_dags_when_a_command_first_needs_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "flows" / "registry.py", home, "registered")
    (tmp_path / "flows" / "__init__.py").touch()
    written(home / "dags" / "daily.py", home)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ELASTIC__CORE__DAGS_MODULE", "flows.registry")
    deployment = Deployment.of()
    assert find(deployment, "registered").fileloc == str(tmp_path / "flows" / "registry.py")
    assert find(deployment, "daily").fileloc == str(home / "dags" / "daily.py")
    monkeypatch.setenv("ELASTIC__CORE__DAGS_MODULE", "flows.nothing")
    with pytest.raises(UsageError, match=r"core.dags_module 'flows.nothing' cannot be found"):
        find(Deployment.of(), "registered")
