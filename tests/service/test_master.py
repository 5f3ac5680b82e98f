"""Masters of the service: due runs, triggered runs, pauses, stops, kills, and a second master."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_samples import (
    check_each_date_once,
    dag_file,
    database,
    descendants,
    held_pids,
    ran,
    run_states,
    runs,
    served,
)

from elastic.dag.states.state import TaskState
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.stores.dags import import_errors
from elastic.db.stores.jobs import jobs
from elastic.executors.local import LocalExecutor
from elastic.scheduler.deployment import Deployment
from elastic.service.master import MasterOptions, SchedulerMaster
from elastic.testing import PostgresServer
from tests.command_process import end_all, ended, is_alive, started, until


@pytest.fixture(autouse=True)
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short intervals, and no process left."""
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SCHEDULER__SCAN_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__CORE__PARALLELISM", "4")
    yield
    end_all()


def test_a_master_makes_each_due_run_once_and_runs_it(home: Path) -> None:
    dag_file(home)
    assert "Adding to queue: elastic run daily first 2016-02-22T00:00:00" in served()
    check_each_date_once(home, "daily", 3)
    served()
    check_each_date_once(home, "daily", 3)
    assert [one.state for one in jobs(database(), 5.0)] == ["success"] * 2


def test_a_master_loads_no_code_of_users(home: Path) -> None:
    path = dag_file(home)
    path.write_text(path.read_text() + f"\nopen({str(home / 'loaders')!r}, 'a').write(f'{{os.getpid()}}\\n')\n")
    process = started("master", "--once")
    printed = ended(process)
    loaders = {int(line) for line in (home / "loaders").read_text().split()}
    assert "2016-02-24" in printed
    assert loaders
    assert process.pid not in loaders


SOON = """
import datetime as dt
from elastic.dag import DAG
from elastic.operators import EmptyOperator

with DAG({dag_id!r}, schedule=dt.timedelta(seconds=4), catchup=False) as dag:
    EmptyOperator(task_id="t")
"""

QUEUES = """
import os
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import PythonOperator

def note(task):
    (Path({here!r}) / task.task_id).write_text(str(os.getppid()))

with DAG({dag_id!r}, schedule="@daily", start_date={start!r}, end_date={end!r}) as dag:
    PythonOperator(task_id="light", python_callable=note)
    PythonOperator(task_id="heavy", python_callable=note, queue="heavy")
"""


def test_each_queue_has_its_executor(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dag_file(home, days=1, text=QUEUES)
    monkeypatch.setenv("ELASTIC__CORE__QUEUES", "small=local*1")
    process = started("master")
    until(lambda: (home / "light").exists(), process)
    told = ended(started("tasks", "why", "daily", "heavy", "2016-02-22"))
    assert "no executor has the queue 'heavy'; add it to core.queues, such as heavy=local*4" in told
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert not (home / "heavy").exists()
    monkeypatch.setenv("ELASTIC__CORE__QUEUES", "heavy=tests.executors.executor_samples:PlainExecutor")
    served()
    assert (home / "heavy").exists()
    assert run_states() == ["success"]
    assert jobs(database(), 5.0)[0].executor == "LocalExecutor, PlainExecutor"


def test_a_broken_file_is_named_and_the_others_run(home: Path) -> None:
    dag_file(home, days=1)
    (home / "dags" / "bad.py").write_text("import nothing_of_that_name  # dag\n")
    assert "bad.py: ModuleNotFoundError: No module named 'nothing_of_that_name'" in served()
    assert run_states() == ["success"]


def test_a_file_that_breaks_lets_its_active_runs_go_on_with_the_last_good_version(home: Path) -> None:
    path = dag_file(home, days=2)
    (home / "hold").touch()
    process = started("master")
    until(lambda: len(held_pids(home)) == 2, process)
    path.write_text("import nothing_of_that_name  # dag\n")
    until(lambda: bool(import_errors(database())), process)
    (home / "hold").unlink()
    until(lambda: run_states() == ["success"] * 2, process)
    process.send_signal(signal.SIGTERM)
    assert "cannot be loaded" in ended(process)
    check_each_date_once(home, "daily", 2)
    copies = list((home / "dag_sources").iterdir())
    assert [copy.stat().st_mode & 0o777 for copy in copies] == [0o600]


def test_a_changed_helper_module_is_used_by_the_next_task(home: Path) -> None:
    (home / "dags").mkdir()
    helper = home / "dags" / "naming.py"
    helper.write_text("NAME = 'one'\n")
    (home / "dags" / "named.py").write_text(
        "from naming import NAME\nfrom elastic.dag import DAG\nfrom elastic.operators import PythonOperator\n"
        "dag = DAG('named', schedule=None)\n"
        f"def note():\n    open({str(home / 'ran')!r}, 'a').write(NAME + '\\n')\n"
        "PythonOperator(task_id='t', python_callable=note, dag=dag)\n"
    )
    process = started("master")
    until(lambda: bool(jobs(database(), 5.0)), process)
    for number, name in enumerate(("one", "two_"), start=1):
        helper.write_text(f"NAME = {name!r}\n")
        ended(started("dags", "trigger", "named", "-e", f"2026-01-0{number}"))
        until(lambda number=number: run_states("named") == ["success"] * number, process)  # type: ignore[misc]
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert ran(home) == ["one", "two_"]


def test_a_triggered_run_waits_for_no_interval_and_its_conf_arrives(home: Path) -> None:
    (home / "dags").mkdir()
    (home / "dags" / "manual.py").write_text(
        "from elastic.dag import DAG\nfrom elastic.operators import PythonOperator\n"
        "dag = DAG('manual', schedule=None)\n"
        "PythonOperator(task_id='t', python_callable=lambda conf: print('conf is', conf), dag=dag)\n"
    )
    said = ended(started("dags", "trigger", "manual", "-e", "2030-01-01", "--conf", '{"full": true}'))
    assert "or start `elastic master`" in said
    served()
    (run,) = runs("manual")
    assert (run.state, run.conf) == ("success", {"full": True})


def test_a_paused_dag_gets_no_runs_until_it_is_unpaused(home: Path) -> None:
    dag_file(home)
    ended(started("dags", "pause", "daily"))
    served()
    assert runs() == []
    ended(started("dags", "unpause", "daily"))
    served()
    check_each_date_once(home, "daily", 3)


def test_a_running_master_sees_new_files_and_triggers_and_stops_on_a_signal(home: Path) -> None:
    (home / "dags").mkdir()
    process = started("master")
    until(lambda: bool(jobs(database(), 5.0)), process)
    dag_file(home, days=2)
    until(lambda: run_states() == ["success", "success"], process)
    ended(started("dags", "trigger", "daily", "-e", "2016-03-05"))
    until(lambda: run_states() == ["success"] * 3, process)
    below = list(descendants(process.pid))
    assert below
    process.send_signal(signal.SIGTERM)
    assert "stopping" in ended(process)
    assert process.returncode == 0
    assert not any(is_alive(pid) for pid in below)


def test_a_master_wakes_when_a_run_is_due(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "600")
    monkeypatch.setenv("ELASTIC__SCHEDULER__HEARTBEAT", "600")
    monkeypatch.setenv("ELASTIC__SCHEDULER__LEASE", "2000")
    dag_file(home, text=SOON)
    process = started("master", "--num-runs", "2")
    ended(process)
    assert run_states() == ["success"] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_master_waits_for_its_tasks_and_starts_no_others(home: Path, number: int) -> None:
    dag_file(home, days=1)
    (home / "hold").touch()
    process = started("master")
    until(lambda: bool(held_pids(home)), process)
    process.send_signal(number)
    until(lambda: process.poll() is not None or len(ran(home)) == 1)
    (home / "hold").unlink()
    assert "waiting up to 30 s for 1 running tasks" in ended(process)
    assert process.returncode == 0
    (run,) = runs()
    states = {one.task_id: one.state for one in queries.instances(database(), "daily", [run.run_id])}
    assert states["first"] is TaskState.SUCCESS
    assert states["second"] in (None, TaskState.SCHEDULED)
    served()
    check_each_date_once(home, "daily", 1)


def test_a_second_signal_ends_the_tasks_which_the_next_master_runs_again(home: Path) -> None:
    dag_file(home, days=1)
    (home / "hold").touch()
    process = started("master")
    until(lambda: bool(held_pids(home)), process)
    (held,) = held_pids(home)
    process.send_signal(signal.SIGINT)
    until(lambda: "SchedulerJob" in {one.kind for one in jobs(database(), 5.0)}, process)
    process.send_signal(signal.SIGINT)
    assert "killing 1 tasks; another master runs them again" in ended(process)
    assert process.returncode == 0
    assert not is_alive(held)
    (home / "hold").unlink()
    served()
    check_each_date_once(home, "daily", 1)


class StoppedAfterTheFirstResult(LocalExecutor):
    """Executor whose master is interrupted at the moment in which a result has arrived."""

    def heartbeat(self, timeout: float = 0.0) -> None:
        super().heartbeat(timeout)
        if timeout and self._events:
            raise KeyboardInterrupt


def test_a_result_that_arrives_as_the_master_stops_is_recorded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC__SCHEDULER__GRACE_TIMEOUT", "0")
    dag_file(home, days=1)
    options = MasterOptions(executor=StoppedAfterTheFirstResult(), home=home)
    SchedulerMaster(Deployment.of(), options, print).run()
    (run,) = runs()
    states = {one.task_id: one.state for one in queries.instances(database(), "daily", [run.run_id])}
    assert states["first"] is TaskState.SUCCESS
    assert len(ran(home)) == 1


@pytest.mark.usefixtures("metadata")
def test_the_runs_of_a_killed_master_go_on_under_another_one(home: Path) -> None:
    dag_file(home, days=4)
    (home / "hold").touch()
    first, second = started("master"), started("master")
    until(lambda: len(held_pids(home)) == 4, first, second)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    (home / "hold").unlink()
    until(lambda: run_states() == ["success"] * 4, second)
    second.send_signal(signal.SIGTERM)
    ended(second)
    check_each_date_once(home, "daily", 4)


@pytest.mark.usefixtures("metadata")
def test_masters_that_are_killed_again_and_again_lose_and_double_nothing(home: Path) -> None:
    days = 6
    dag_file(home, days=days)
    masters = [started("master"), started("master")]
    for number in range(4):
        wanted = min(2 * days, 2 * number + 1)
        until(lambda wanted=wanted: len(ran(home)) >= wanted)  # type: ignore[misc]
        os.kill(masters[number % 2].pid, signal.SIGKILL)
        masters[number % 2].communicate()
        masters[number % 2] = started("master")
    until(lambda: run_states() == ["success"] * days, *masters)
    for one in masters:
        one.send_signal(signal.SIGTERM)
        ended(one)
    check_each_date_once(home, "daily", days)


def freeze_between_transactions(pid: int) -> None:
    """Stop a process while it does not hold the lock of the SQLite file, which would stop everybody."""
    path = str(database().path)
    while True:
        os.kill(pid, signal.SIGSTOP)
        with contextlib.closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as probe:
            try:
                probe.execute("BEGIN IMMEDIATE")
                probe.execute("ROLLBACK")
                return
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.05)


def test_a_frozen_master_comes_back_and_changes_nothing_that_another_one_took(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC__SCHEDULER__LEASE", "1.5")
    dag_file(home, days=2)
    (home / "hold").touch()
    first = started("master")
    until(lambda: len(held_pids(home)) == 2, first)
    freeze_between_transactions(first.pid)
    second = started("master")
    (home / "hold").unlink()
    until(lambda: run_states() == ["success"] * 2, second)
    os.kill(first.pid, signal.SIGCONT)
    second.send_signal(signal.SIGTERM)
    ended(second)
    first.send_signal(signal.SIGTERM)
    ended(first)
    check_each_date_once(home, "daily", 2)


def printed_until(words: str, process: "subprocess.Popen[str]") -> str:
    """Return what a process prints up to the line with some words."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        line = process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line)
    return "".join(lines)


def test_the_tasks_of_a_master_go_on_while_its_database_is_away(
    home: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC__DATABASE__PATIENCE", "0.5")
    monkeypatch.setenv("ELASTIC__SCHEDULER__LEASE", "2")
    with PostgresServer() as server:
        url = server.create_database()
        found = Database(url)
        create(found)
        found.close()
        monkeypatch.setenv("ELASTIC__DATABASE__URL", url)
        dag_file(home, days=2)
        (home / "hold").touch()
        process = started("master")
        until(lambda: len(held_pids(home)) == 2, process)
        held = held_pids(home)
        server.stop()
        said = printed_until("the tasks of this master go on, and it tries again.", process)
        assert "cannot be reached" in said.splitlines()[-1]
        assert all(is_alive(pid) for pid in held)
        (home / "hold").unlink()
        server.start()
        until(lambda: run_states() == ["success"] * 2, process)
        process.send_signal(signal.SIGTERM)
        assert "the database answers again" in ended(process)
        assert process.returncode == 0
        check_each_date_once(home, "daily", 2)
        assert len(ran(home)) == 4, "a task ran again"


def test_the_tasks_of_a_master_go_on_while_its_database_is_locked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC__DATABASE__TIMEOUT", "0.3")
    monkeypatch.setenv("ELASTIC__SCHEDULER__LEASE", "2")
    dag_file(home, days=2)
    (home / "hold").touch()
    process = started("master")
    until(lambda: len(held_pids(home)) == 2, process)
    with contextlib.closing(sqlite3.connect(str(database().path), timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        # Both tasks end while the master cannot record that.
        (home / "hold").unlink()
        said = printed_until("the tasks of this master go on, and it tries again.", process)
        assert "was locked by other processes for 0.3 s" in said.splitlines()[-1]
        other.execute("ROLLBACK")
    until(lambda: run_states() == ["success"] * 2, process)
    process.send_signal(signal.SIGTERM)
    assert "the database answers again" in ended(process)
    check_each_date_once(home, "daily", 2)
    assert len(ran(home)) == 4, "a task ran again"


def test_a_run_whose_file_is_elsewhere_waits_with_a_reason(home: Path, tmp_path: Path) -> None:
    path = dag_file(home, days=1)
    path.rename(tmp_path / "daily.py")
    ended(started("dags", "trigger", "daily", "-e", "2016-02-22", "-sd", str(tmp_path / "daily.py")))
    assert "is outside of the DAG folder" in served()
    assert run_states() == ["queued"]


def test_bad_options_are_refused_in_one_sentence(home: Path) -> None:
    for words, said in {
        ("-sd", "/nowhere"): "error: the DAG folder '/nowhere' does not exist; create it, set core.dags_folder, or",
        ("--executor", "abacus"): "error: the DAG folder",
    }.items():
        process = started("master", *words)
        assert said in ended(process)
        assert process.returncode == 2
