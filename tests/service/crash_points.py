"""Crash points of the service: a process ends right before or after each of its commits, then another master goes on.

python -m tests.service.crash_points [--databases sqlite postgresql mariadb] [--processes master parser]
"""

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect

from elastic.scheduler.deployment import Deployment
from elastic.service.master import MasterOptions, SchedulerMaster
from tests import command_process
from tests.service.master_campaign import SERVERS, world
from tests.service.service_samples import check_each_date_once, dag_file, database, run_states

#: Names of the processes that write, and how multiprocessing calls them. The master writes the results of its tasks.
PROCESSES = {"master": "MainProcess", "parser": "elastic-parser"}

DAYS = 2

TEXT = r"""
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import PythonOperator

def note(task, ds, attempt_uuid):
    with (Path({here!r}) / "ran").open("a") as file:
        file.write(f"{{task.task_id}} {{ds}} {{attempt_uuid}}\n")

with DAG({dag_id!r}, schedule="@daily", start_date={start!r}, end_date={end!r},
         default_args={{"retries": 1, "retry_delay": 0}}) as dag:
    PythonOperator(task_id="first", python_callable=note) >> PythonOperator(task_id="second", python_callable=note)
"""

_CRASHED = 9


def crash(home: Path, process: str, number: int, *, before: bool) -> bool:
    """Run a master, one of whose processes ends at a commit; return whether it came to that.

    Args:
        home: Home folder, which the environment names.
        process: A name of `PROCESSES`. Commits of each process of this name are counted alone.
        number: Number of the commit, from 1.
        before: End before the commit instead of after it.
    """
    marker = home / "crashed"
    pid = os.fork()
    if pid == 0:
        _end_at_commit(marker, PROCESSES[process], number, before=before)
        try:
            SchedulerMaster(Deployment.of(), MasterOptions(home=home, once=True), lambda line: None).run()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return marker.exists()


def _end_at_commit(marker: Path, name: str, number: int, *, before: bool) -> None:
    real, counts = DefaultDialect.do_commit, {"commits": 0, "pid": 0}

    def do_commit(dialect: Any, connection: Any) -> None:
        if multiprocessing.current_process().name != name or marker.exists():
            real(dialect, connection)
            return
        if counts["pid"] != os.getpid():
            counts.update(commits=0, pid=os.getpid())
        counts["commits"] += 1
        if counts["commits"] < number:
            real(dialect, connection)
            return
        if not before:
            real(dialect, connection)
        marker.touch()
        os._exit(_CRASHED)

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


def check(home: Path) -> None:
    """Let another master finish, and check that each date has one run, whose tasks succeeded once.

    Raises:
        AssertionError: Something was lost or made twice.
    """
    end = time.monotonic() + command_process.LONGEST
    # A master that began before the leases of the dead one were released has nothing to do.
    while run_states() != ["success"] * DAYS and time.monotonic() < end:
        SchedulerMaster(Deployment.of(), MasterOptions(home=home, once=True), lambda line: None).run()
    check_each_date_once(home, "daily", DAYS)
    if database().is_sqlite:
        found = database().query(lambda connection: connection.execute(text("PRAGMA integrity_check")).scalar())
        assert found == "ok", found


def main() -> int:
    """Try all crash points, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", *SERVERS], default=["sqlite"])
    parser.add_argument("--processes", nargs="+", choices=[*PROCESSES], default=[*PROCESSES])
    given = parser.parse_args()
    command_process.LONGEST = 60
    points = problems = 0
    for name in given.databases:
        for process in given.processes:
            for before in (True, False):
                found, wrong = _sweep(name, process, before=before)
                points, problems = points + found, problems + wrong
                moment = "before" if before else "after"
                sys.stdout.write(f"{name}, {process}, {moment} a commit: {found} points, {wrong} problems\n")
                sys.stdout.flush()
    sys.stdout.write(f"{points} points, {problems} problems\n")
    return int(problems > 0)


def _sweep(name: str, process: str, *, before: bool) -> tuple[int, int]:
    number = problems = 0
    while True:
        with world(name) as (home, _):
            dag_file(home, days=DAYS, text=TEXT)
            if not crash(home, process, number + 1, before=before):
                return number, problems
            number += 1
            try:
                check(home)
            except AssertionError as error:
                problems += 1
                place = traceback.extract_tb(error.__traceback__)[-1]
                sys.stdout.write(f"{name}, {process}, commit {number}, before={before}: {place.line}; {error}\n")


if __name__ == "__main__":
    sys.exit(main())
