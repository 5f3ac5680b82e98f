"""A DAG file whose tasks leave a line for every time they run, and programs that run it and are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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

with DAG("killed", start_date="2016-02-22", concurrency=4) as dag:
    layers = [[PythonOperator(task_id=f"t{{level}}_{{number}}", python_callable=note, retries=1, retry_delay=0)
               for number in range(4)] for level in range(3)]
    for before, after in zip(layers, layers[1:]):
        for task in before:
            task >> after
"""

RANGE = ("killed", "-s", "2016-02-22", "-e", "2016-02-23")
#: task instances of that range
COUNT = 24


def dag_file(folder: Path) -> Path:
    path = folder / "killed.py"
    path.write_text(SOURCE.format(here=str(folder)))
    return path


def started(*words: str, **environment: str) -> "subprocess.Popen[str]":
    """Start the command line in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "elastic", *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    """Return what a process printed; the test fails if it does not end."""
    printed, _ = process.communicate(timeout=100)
    return printed


def until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait for what a process is to do; the test fails if it ends before."""
    while not condition():
        assert process.poll() is None, ended(process)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
