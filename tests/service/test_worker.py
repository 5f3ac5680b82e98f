"""Workers: they run the tasks of their queues, with only the database between them and the masters."""

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_samples import database, descendants, run_states

from elastic.core.errors import UsageError
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries
from elastic.db.records import TaskInstanceRow
from elastic.db.stores.jobs import WORKER_JOB, living_jobs, start_job
from elastic.executors.executor import Executor
from elastic.executors.registry import executor_by_queue
from elastic.scheduler.deployment import Deployment
from tests.command_process import end_all, ended, is_alive, started, until

#: `light` runs beside the master and `heavy` on a worker, where it may wait; a branch on a worker skips `never`.
DAG_TEXT = """
import os, time
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import BranchPythonOperator, PythonOperator

here = Path({here!r})

def note(task, attempt_uuid):
    with (here / "ran").open("a") as file:
        file.write(f"{{task.task_id}} {{os.getppid()}} {{attempt_uuid}}\\n")
    while task.task_id == "heavy" and (here / "hold").exists():
        (here / f"pid-{{os.getpid()}}").touch()
        time.sleep(0.005)
    return task.task_id

with DAG("mixed", schedule="@daily", start_date="2016-02-22", end_date="2016-02-22") as dag:
    light = PythonOperator(task_id="light", python_callable=note)
    heavy = PythonOperator(task_id="heavy", python_callable=note, queue="heavy", retries=0)
    fork = BranchPythonOperator(task_id="fork", python_callable=lambda: "after", queue="heavy")
    light >> heavy >> fork >> [
        PythonOperator(task_id="after", python_callable=note), PythonOperator(task_id="never", python_callable=note)
    ]
"""


@pytest.fixture(autouse=True)
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SCHEDULER__SCAN_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SCHEDULER__HEARTBEAT", "1")
    monkeypatch.setenv("ELASTIC__SCHEDULER__LEASE", "5")
    monkeypatch.setenv("ELASTIC__CORE__QUEUES", "heavy=worker")
    monkeypatch.setenv("ELASTIC__CORE__PARALLELISM", "2")
    yield
    end_all()


def written(home: Path) -> Path:
    (home / "dags").mkdir(exist_ok=True)
    path = home / "dags" / "mixed.py"
    path.write_text(DAG_TEXT.format(here=str(home)))
    return path


def instance(task_id: str) -> TaskInstanceRow | None:
    runs = queries.runs(database(), "mixed")
    return queries.instance(database(), TaskKey("mixed", runs[0].run_id, task_id)) if runs else None


def state(task_id: str) -> TaskState | None:
    found = instance(task_id)
    return found.state if found else None


def lines(home: Path) -> list[list[str]]:
    path = home / "ran"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.usefixtures("metadata")
def test_a_worker_runs_the_tasks_of_its_queue_from_a_folder_of_its_own(home: Path, tmp_path: Path) -> None:
    path = written(home)
    master = started("master")
    until(lambda: state("light") is TaskState.SUCCESS, master)
    why = ended(started("tasks", "why", "mixed", "heavy", "2016-02-22"))
    assert "no worker serves queue 'heavy'; start one with `elastic worker --queues heavy`" in " ".join(why.split())
    health = started("health")
    assert "no worker serves queue heavy" in ended(health)
    assert health.returncode == 1
    assert state("heavy") is None
    folder = tmp_path / "other host"
    folder.mkdir()
    shutil.copy(path, folder)
    worker = started("worker", "--queues", "heavy", "-c", "1", "-sd", str(folder))
    until(lambda: run_states("mixed") == ["success"], master, worker)
    assert f"pid {worker.pid} on {socket.gethostname()} (heavy, 1 at a time)" in ended(started("health"))
    by = {task_id: int(pid) for task_id, pid, _ in lines(home)}
    assert by == {"light": master.pid, "heavy": worker.pid, "after": master.pid}
    assert (state("fork"), state("never")) == (TaskState.SUCCESS, TaskState.SKIPPED)
    worker.send_signal(signal.SIGTERM)
    assert "stopping" in ended(worker)
    assert worker.returncode == 0
    assert not living_jobs(database(), 1.0, kind=WORKER_JOB)


def test_the_attempt_of_a_killed_worker_runs_again_on_another_one_and_counts_once(home: Path) -> None:
    written(home)
    (home / "hold").touch()
    master, first = started("master"), started("worker")
    until(lambda: state("heavy") is TaskState.RUNNING and bool(list(home.glob("pid-*"))), master, first)
    below = list(descendants(first.pid))
    second = started("worker")
    until(lambda: len(living_jobs(database(), 1.0, kind=WORKER_JOB)) == 2, second)
    first.kill()
    ended(first)
    (home / "hold").unlink()
    until(lambda: run_states("mixed") == ["success"], master, second)
    assert [line[:2] for line in lines(home) if line[0] == "heavy"] == [
        ["heavy", str(first.pid)],
        ["heavy", str(second.pid)],
    ]
    found = instance("heavy")
    assert found is not None
    states = [one.state for one in queries.attempts(database(), found.key)]
    assert states == [TaskState.FAILED, TaskState.SUCCESS]
    until(lambda: not any(is_alive(pid) for pid in below))


def test_a_stopped_worker_gives_back_the_tasks_that_outlast_the_grace_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC__SCHEDULER__GRACE_TIMEOUT", "0.5")
    written(home)
    (home / "hold").touch()
    master, worker = started("master"), started("worker")
    until(lambda: bool(list(home.glob("pid-*"))), master, worker)
    worker.send_signal(signal.SIGINT)
    assert "killing 1 tasks; they run again elsewhere" in ended(worker)
    assert worker.returncode == 0
    (home / "hold").unlink()
    other = started("worker")
    until(lambda: run_states("mixed") == ["success"], master, other)
    assert len([line for line in lines(home) if line[0] == "heavy"]) == 2


def test_a_worker_with_other_code_says_so_in_the_log_and_on_the_task(home: Path, tmp_path: Path) -> None:
    path = written(home)
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "mixed.py").write_text(path.read_text() + "\n# later\n")
    master, worker = started("master"), started("worker", "-sd", str(folder))
    until(lambda: run_states("mixed") == ["success"], master, worker)
    found = instance("heavy")
    assert found is not None
    assert f"the code of mixed.py on {socket.gethostname()} is " in (found.note or "")
    logs = "".join(one.read_text() for one in (home / "logs" / "mixed" / "heavy").iterdir())
    assert "and the run began with" in logs
    (folder / "mixed.py").unlink()
    ended(started("clear", "mixed", "-t", "heavy", "--yes"))
    until(lambda: state("heavy") is TaskState.FAILED, master, worker)
    worker.send_signal(signal.SIGTERM)
    assert "mixed.py does not exist; copy the DAG folder of the master to this host." in ended(worker)


def test_attempts_return_when_the_last_worker_of_their_queue_dies_before_it_takes_them(home: Path) -> None:
    written(home)
    master = started("master")
    until(lambda: state("light") is TaskState.SUCCESS, master)
    start_job(database(), WORKER_JOB, queues=["heavy"], parallelism=1)
    until(lambda: state("heavy") is TaskState.QUEUED, master)
    until(lambda: not queries.active_instances(database(), "mixed"), master)
    assert state("heavy") in (None, TaskState.SCHEDULED)


def test_settings_of_workers_are_checked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = executor_by_queue("local", Deployment.of().queues)
    assert isinstance(found, Executor)
    assert found.worker_members == {"heavy"}
    monkeypatch.setenv("ELASTIC__CORE__QUEUES", "heavy=worker*3")
    with pytest.raises(UsageError, match="limit each worker with `elastic worker -c`"):
        Deployment.of()
    monkeypatch.setenv("ELASTIC__CORE__QUEUES", "")
    (home / "dags").mkdir()
    assert "no queue is left to workers; name some with --queues" in ended(started("worker"))
    monkeypatch.setenv("ELASTIC__CORE__EXECUTOR", "worker")
    assert Deployment.of().worker_queues == ("default",)
    assert Deployment.of().worker_executors == {""}
