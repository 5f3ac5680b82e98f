"""Backfills with executors that run each attempt as a program: a user's executor, and Ray."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from run_samples import START, attempts, dag_of, noted, ran, run

from elastic.core.errors import UsageError
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.executors import Executor, LocalExecutor, RayExecutor, TaskCommand
from elastic.operators import PythonOperator
from elastic.scheduler.commands.backfill import BackfillOptions, Summary, backfill
from elastic.scheduler.deployment import Deployment

#: Each task prints its process, the start of the process and the end of the task, in seconds since boot.
SOURCE = """
import os
import time
from pathlib import Path

from elastic import DAG
from elastic.operators import PythonOperator


def work(task):
    print("at work")
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    began, ends = int(ticks) / os.sysconf("SC_CLK_TCK"), time.clock_gettime(time.CLOCK_BOOTTIME)
    (Path({here!r}) / task.task_id).write_text(f"{{os.getpid()}} {{began}} {{ends}}")


def die():
    os.kill(os.getpid(), 9)


with DAG("programs", start_date="2016-02-22") as dag:
    {tasks}
"""


def _backfill(folder: Path, tasks: str, executor: object) -> Summary:
    path = folder / "programs.py"
    path.write_text(SOURCE.format(here=str(folder), tasks=tasks.replace("\n", "\n    ")))
    options = BackfillOptions(start=START, executor=executor)
    return backfill(Deployment.of(), DagBag(path).get_dag("programs"), options, lambda line: None)


class PopenExecutor(Executor):
    """A user's executor: each command is a process, and several run at the same time."""

    def __init__(self) -> None:
        super().__init__(parallelism=2)
        self.processes: dict[TaskKey, subprocess.Popen[bytes]] = {}
        self.twice: list[int] = []

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        self.processes[key] = subprocess.Popen(command.words, stdout=subprocess.DEVNULL)

    def sync(self, timeout: float) -> None:
        for key, process in list(self.processes.items()):
            code = process.wait()
            # started again, as a queue that lost a reply would: the attempt is claimed, so it runs nothing
            self.twice.append(subprocess.run(process.args, capture_output=True, check=False).returncode)
            del self.processes[key]
            self.change_state(key, "success" if code == 0 else "failed", exit_code=code)


def test_an_executor_of_twenty_lines_works_and_what_it_starts_twice_runs_once(tmp_path: Path) -> None:
    executor = PopenExecutor()
    tasks = "PythonOperator(task_id='first', python_callable=work)\nPythonOperator(task_id='bad', python_callable=die)"
    summary = _backfill(tmp_path, tasks, executor)
    assert {key.task_id: str(state) for key, state in summary.states.items()} == {"first": "success", "bad": "failed"}
    assert executor.twice == [1, 1]
    dag = DagBag(tmp_path / "programs.py").get_dag("programs")
    (good,), (bad,) = attempts(dag, "first"), attempts(dag, "bad")
    assert (good.state, good.pid) == (TaskState.SUCCESS, int((tmp_path / "first").read_text().split()[0]))
    assert good.pid != os.getpid()
    log = Deployment.of().logs / "programs/first/2016-02-22T00:00:00"
    assert [line for line in log.read_text().splitlines() if line.endswith("INFO - at work")]
    assert (bad.state, bad.exit_code) == (TaskState.FAILED, -9)


class HugeExecutor(Executor):
    """Reports an exit code that no database can store for one task, without a reason."""

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        if key.task_id == "huge":
            self.change_state(key, "failed", exit_code=2**80)
        else:
            subprocess.run(command.words, stdout=subprocess.DEVNULL, check=False)
            self.change_state(key, "success", exit_code=0)


def test_an_ending_that_the_database_refuses_fails_that_instance_alone(tmp_path: Path) -> None:
    tasks = """last = PythonOperator(task_id='last', python_callable=work, trigger_rule='all_done')
PythonOperator(task_id='huge', python_callable=work) >> last
PythonOperator(task_id='good', python_callable=work) >> last"""
    summary = _backfill(tmp_path, tasks, HugeExecutor())
    found = {key.task_id: str(state) for key, state in summary.states.items()}
    assert found == {"huge": "failed", "good": "success", "last": "success"}
    (why,) = summary.reasons.values()
    assert why.startswith("it ended as failed, which the database refused: ")


#: Modules that each of two DAG files finds, at import and later, and that a flow finds on workers.
WITH_HELPERS = """
import elastic
from elastic import DAG
from elastic.operators import FlowOperator, PythonOperator
import common
from conf import NAME, marked

def check():
    import late
    import conf
    assert [NAME, conf.NAME, late.NAME, common.NAME] == [{name!r}, {name!r}, {name!r}, "common"]

def flow():
    return elastic.from_range(4, chunk_size=1).map(marked).aggregate("collect")

def compare(result):
    assert set(result.value) == {{{name!r}}}, result.value

with DAG({name!r}, start_date="2016-02-22") as dag:
    PythonOperator(task_id="check", python_callable=check)
    FlowOperator(task_id="flow", flow=flow, on_result=compare, options={{"cluster": {cluster!r}}})
"""


def _folder_with_helpers(folder: Path, cluster: str) -> Path:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "conf.py").write_text(f"NAME = {name!r}\ndef marked(number):\n    return NAME\n")
        (folder / name / "late.py").write_text(f"NAME = {name!r}\n")
        (folder / name / f"{name}_dag.py").write_text(WITH_HELPERS.format(name=name, cluster=cluster))
    (folder / "common.py").write_text("NAME = 'common'\n")
    return folder


@pytest.mark.parametrize(
    "executor",
    [
        lambda: "inline",
        lambda: LocalExecutor(2, "fork"),
        lambda: LocalExecutor(2, "spawn"),
        lambda: LocalExecutor(2, "forkserver"),
        PopenExecutor,
    ],
    ids=["inline", "forked", "spawned", "served", "programs"],
)
def test_each_dag_runs_with_the_helper_modules_of_its_own_file(executor: Callable[[], object], tmp_path: Path) -> None:
    bag = DagBag(_folder_with_helpers(tmp_path, "inline"))
    for name in ("a", "b"):
        options = BackfillOptions(start=START, executor=executor())
        assert backfill(Deployment.of(), bag.get_dag(name), options, lambda line: None).counts == {"success": 2}
    assert "conf" not in sys.modules


@pytest.mark.cluster
@pytest.mark.usefixtures("embedded_ray")
def test_workers_of_a_flow_have_the_helper_modules_of_its_dag(tmp_path: Path) -> None:
    bag = DagBag(_folder_with_helpers(tmp_path, "local"))
    for name in ("a", "b"):
        options = BackfillOptions(start=START, executor="inline")
        assert backfill(Deployment.of(), bag.get_dag(name), options, lambda line: None).counts == {"success": 2}


#: Polars uses its own threads, which a fork of this program would lack.
SCRIPT = """
import polars
import time
from elastic import DAG
from elastic.operators import PythonOperator


def count():
    return polars.DataFrame({"a": range(50_000)}).lazy().group_by("a").len().collect().height


print("begins")
count()
dag = DAG("script", start_date="2016-02-22")
PythonOperator(task_id="counts", python_callable=count, dag=dag)
PythonOperator(task_id="sleeps", python_callable=lambda: time.sleep(1_000), execution_timeout=0.1, dag=dag)
print(dag.run().counts)
"""


def test_a_script_with_threads_of_a_library_runs_its_dag_and_time_limits_are_heard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=150, check=True)
    lines = done.stdout.splitlines()
    # No task process runs the script again.
    assert lines.count("begins") == 1
    assert lines[-1] == "{'failed': 1, 'success': 1}"


def test_a_dag_that_cannot_be_given_to_task_processes_is_refused_in_one_sentence(tmp_path: Path) -> None:
    dag = dag_of("made_here")
    lock = threading.Lock()
    PythonOperator(task_id="t", python_callable=lambda: lock.acquire(), dag=dag)
    with pytest.raises(UsageError, match=r"'made_here' was made in this program and cannot be given .* executor='inl"):
        run(dag, executor=LocalExecutor(1, "forkserver"))


def test_a_task_that_does_not_hear_its_time_limit_is_ended_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.scheduler.supervisor.running_attempts._KILL_GRACE_SECONDS", 0.0)

    def deaf() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        signal.pause()

    dag = dag_of()
    PythonOperator(task_id="t", python_callable=deaf, execution_timeout=0.1, dag=dag)
    assert run(dag, executor="local").counts == {"failed": 1}
    (attempt,) = attempts(dag, "t")
    assert (attempt.error or "").startswith("it exceeded its execution_timeout and did not stop; its proc")


@pytest.mark.cluster
@pytest.mark.usefixtures("embedded_ray")
def test_a_dag_that_is_in_no_file_runs_beside_ray_too(tmp_path: Path) -> None:
    """Processes cannot be forked then, and a notebook has no file to load."""
    dag = dag_of("notebook")
    noted(dag, "first", tmp_path) >> noted(dag, "second", tmp_path)
    assert run(dag, executor="local").counts == {"success": 2}
    assert ran(tmp_path) == ["first 2016-02-22", "second 2016-02-22"]


@pytest.mark.cluster
@pytest.mark.usefixtures("embedded_ray")
def test_ray_gives_each_task_the_resources_that_it_asks_for(tmp_path: Path) -> None:
    """Two tasks each need more than half of a resource of one node, so they never run together."""
    import ray

    node = next(name for name in ray.cluster_resources() if name.startswith("node:") and "head" not in name)
    wanted = {"cpus": 0.5, "memory": 1024, "custom": {node: 0.6}}
    tasks = "\n".join(
        f"PythonOperator(task_id='{name}', python_callable=work, resources={wanted!r})" for name in ("left", "right")
    )
    summary = _backfill(tmp_path, tasks, RayExecutor(2, "local"))
    assert summary.counts == {"success": 2}
    (_, _, end), (_, begin, _) = sorted(
        (tuple(map(float, (tmp_path / name).read_text().split())) for name in ("left", "right")), key=lambda one: one[1]
    )
    assert begin >= end
