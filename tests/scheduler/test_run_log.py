"""Logs in the layout of Synergy: for a flow and each of its steps, in files and in the database."""

from pathlib import Path

import pytest
from run_samples import dag_of, day, noted, run

from elastic.core.errors import ElasticError
from elastic.dag import DAG, Action
from elastic.dag.states.state import RunState
from elastic.db import queries
from elastic.db.records import RunMode
from elastic.operators import PythonOperator
from elastic.scheduler.commands.recover import run_timeperiod
from elastic.scheduler.deployment import Deployment


class Copy(Action):
    """Logs its execution and its undoing."""

    def run(self) -> None:
        self.log.info("copied %s", self.context["timeperiod"])

    def rollback(self) -> None:
        self.log.info("taken back")


@pytest.fixture
def flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the logs of flows."""
    monkeypatch.setenv("ELASTIC__LOGS__FLOW_FOLDER", str(tmp_path / "flows"))
    return tmp_path / "flows"


def _flow(folder: Path) -> DAG:
    def load() -> None:
        if not (folder / "mended").exists():
            raise ElasticError("no such luck.")

    dag = dag_of("words")
    before = noted(dag, "read", folder)
    step = PythonOperator(task_id="load", python_callable=load, dag=dag, pre=[Copy("copy")], post=[Copy("tell")])
    before >> step >> noted(dag, "report", folder)
    return dag


def _lines(path: Path) -> list[str]:
    """Return the lines of a log, without those of tracebacks."""
    told = path.read_text().splitlines()
    return [
        line for line in told if not line.startswith((" ", "Traceback", "elastic.core", "The above", "\t")) and line
    ]


def test_a_flow_that_fails_and_is_recovered_tells_its_story(flows: Path, tmp_path: Path) -> None:
    dag = _flow(tmp_path)
    assert not run(dag).succeeded
    (tmp_path / "mended").touch()
    deployment = Deployment.of()
    summary = run_timeperiod(deployment, dag, "20160222", lambda line: None, mode=RunMode.RECOVERY)
    assert summary.succeeded
    begins = "load INFO Executing <Task(PythonOperator): load> for 2016-02-22 00:00:00"
    assert _lines(flows / "words/load.log") == [
        begins,
        "load.copy INFO copied 20160222",
        "load.copy INFO taken back",
        "load ERROR <Task(PythonOperator): load> failed",
        begins,
        "load.copy INFO copied 20160222",
        "load.tell INFO copied 20160222",
        "load INFO Task succeeded",
    ]
    assert _lines(flows / "words/words.log") == [
        "words INFO 20160222: begins",
        "words ERROR 20160222: ended: failed",
        "words INFO 20160222: begins, attempt 2",
        "words INFO 20160222: ended: success",
    ]
    assert sorted(path.name for path in (flows / "words").iterdir()) == [
        "load.log",
        "read.log",
        "report.log",
        "words.log",
    ]


def test_the_database_tells_it_when_the_files_are_gone_one_attempt_apart_from_the_other(tmp_path: Path) -> None:
    dag = _flow(tmp_path)
    run(dag)
    (tmp_path / "mended").touch()
    deployment = Deployment.of()
    run_timeperiod(deployment, dag, "20160222", lambda line: None, mode=RunMode.RUN_FROM, task_id="load")
    found = queries.run_at(deployment.database, "words", day(0))
    assert found is not None
    assert (found.attempt, found.state) == (2, RunState.SUCCESS)
    of_flow = queries.log_lines(deployment.database, "words", found.run_id)
    assert [(one.run_attempt, one.logger, one.level, one.message) for one in of_flow] == [
        (1, "words", "INFO", "begins"),
        (1, "words", "ERROR", "ended: failed"),
        (2, "words", "INFO", "begins, attempt 2"),
        (2, "words", "INFO", "ended: success"),
    ]
    of_step = queries.log_lines(deployment.database, "words", found.run_id, task_id="load")
    assert [one.message for one in of_step if one.run_attempt == 2] == [
        "Executing <Task(PythonOperator): load> for 2016-02-22 00:00:00",
        "copied 20160222",
        "copied 20160222",
        "Task succeeded",
    ]
    (failure,) = [one for one in of_step if one.level == "ERROR"]
    assert failure.message.splitlines()[-1] == "elastic.core.errors.ElasticError: no such luck."
    (reads,) = {
        one.run_attempt for one in queries.log_lines(deployment.database, "words", found.run_id, task_id="read")
    }
    assert reads == 1
