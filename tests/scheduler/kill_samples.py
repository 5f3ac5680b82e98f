"""A DAG file whose tasks log each of their runs, and programs that run it and are killed."""

import os
import select
import signal
import subprocess
from pathlib import Path

from elastic.dag.files.dag_bag import DagBag
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries
from elastic.db.records import Attempt
from elastic.scheduler.commands.backfill import BackfillOptions, Summary, backfill
from elastic.scheduler.deployment import Deployment
from tests.command_process import LONGEST, started, until

#: While the file `hold` exists, running tasks wait; four may run at the same time.
SOURCE = """
import os, time
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import PythonOperator

here = Path({here!r})

def note(task, ds, attempt_uuid, try_number):
    with (here / "ran").open("a") as file:
        file.write(f"{{task.task_id}} {{ds}} {{try_number}} {{attempt_uuid}}\\n")
    if (here / "hold").exists():
        (here / f"pid-{{os.getpid()}}").touch()
        while (here / "hold").exists():
            time.sleep(0.005)

def tell(ctx):
    with (here / "told").open("a") as file:
        file.write(f"{{ctx['attempt_uuid']}} {{ctx['state']}} {{os.getpid()}}\\n")

with DAG("killed", start_date="2016-02-22", concurrency=4) as dag:
    layers = [[PythonOperator(task_id=f"t{{level}}_{{number}}", python_callable=note, retries=1, retry_delay=0,
                              on_retry_callback=tell, on_failure_callback=tell)
               for number in range(3)] for level in range(2)]
    for before, after in zip(layers, layers[1:]):
        for task in before:
            task >> after
"""

RANGE = ("killed", "-s", "2016-02-22", "-e", "2016-02-23")
#: number of task instances in the range, and of those that run at the same time
COUNT, AT_ONCE = 12, 4


def dag_file(folder: Path, *, held: bool = False) -> Path:
    """Write the DAG; with `held`, its tasks wait until `release`."""
    path = folder / "killed.py"
    path.write_text(SOURCE.format(here=str(folder)))
    if held:
        (folder / "hold").touch()
    return path


def release(folder: Path) -> None:
    (folder / "hold").unlink()


def backfill_until_held(folder: Path, *words: str, at_once: int = AT_ONCE) -> "subprocess.Popen[str]":
    """Start a backfill whose tasks wait, and return once the maximum number runs."""
    process = started("backfill", *RANGE, "-sd", str(dag_file(folder, held=True)), *words)
    until(lambda: len(list(folder.glob("pid-*"))) == at_once, process)
    return process


def go_on(folder: Path, *, rerun_failed: bool = False) -> Summary:
    """Run the rest of the range in this process."""
    dag = DagBag(folder / "killed.py").get_dag("killed")
    options = BackfillOptions(
        start=dag.start_date, end=dag.schedule.next(dag.start_date), rerun_failed=rerun_failed, executor="inline"
    )
    return backfill(Deployment.of(), dag, options, lambda line: None)


def pids(folder: Path) -> list[int]:
    """Return the ids of waiting task processes, at least one."""
    found = [int(path.name.removeprefix("pid-")) for path in folder.glob("pid-*")]
    assert found, "no task has begun"
    return found


def has_ended(pid: int) -> bool:
    """Wait for the end of a process that need not be a child of this one."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], LONGEST)[0])
    finally:
        os.close(descriptor)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def tries() -> dict[TaskKey, list[Attempt]]:
    """Return all attempts of each instance."""
    database = Deployment.of().database
    return {
        instance.key: queries.attempts(database, instance.key)
        for run in queries.runs(database, "killed")
        for instance in queries.instances(database, "killed", [run.run_id])
    }


def check_all_done_once(folder: Path) -> None:
    """Check that each instance has one current attempt, and that each attempt ran at most once."""
    found = tries()
    assert len(found) == COUNT
    for key, made in found.items():
        assert [one.try_number for one in made] == list(range(1, len(made) + 1)), key
        assert [one.state for one in made] == [TaskState.FAILED] * (len(made) - 1) + [TaskState.SUCCESS], key
    uuids = [line.split()[3] for line in (folder / "ran").read_text().splitlines()]
    assert len(uuids) == len(set(uuids))
    assert set(uuids) <= {one.attempt_uuid for made in found.values() for one in made}
    assert not queries.active_instances(Deployment.of().database)
    check_told_once(folder)


def check_told_once(folder: Path) -> None:
    """Check that callbacks of each failed attempt were called once, by a process that runs no task."""
    path = folder / "told"
    told = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    failed = {one.attempt_uuid: one for made in tries().values() for one in made if one.state is TaskState.FAILED}
    assert sorted(uuid for uuid, _, _ in told) == sorted(uuid for uuid, one in failed.items() if one.started_at)
    assert all(int(pid) != failed[uuid].pid for uuid, _, pid in told)
