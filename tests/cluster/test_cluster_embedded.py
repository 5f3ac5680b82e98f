"""An embedded Ray is private: its own token, only the loopback interface, no files left; its start and its end."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from elastic.stages.ray_backend.startup.connection import has_printed

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]

LISTENERS = """
import ipaddress, json, os, pathlib

def listeners():
    # Addresses that this process and those below it listen on.
    found, owned = [], sockets()
    for family in ("tcp", "tcp6"):
        for line in pathlib.Path("/proc/net", family).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[9]) in owned:
                # Words of four bytes, the lowest first.
                address = bytes.fromhex(fields[1].split(":")[0])
                words = [address[at:at + 4][::-1] for at in range(0, len(address), 4)]
                found.append(str(ipaddress.ip_address(b"".join(words))))
    return sorted(set(found))

def sockets():
    # Of this process and those that it started, and they in turn; other clusters on the machine are not ours.
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    owned = set()
    for pid in ours:
        try:
            names = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        owned |= {int(name[8:-1]) for name in names if name.startswith("socket:[")}
    return owned

import elastic
"""


def driven(source: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    (folder / "user").mkdir()
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(folder / "user"), "ELASTIC_HOME": str(folder / "runs")}
    (folder / "driver.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "driver.py"], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def told_by(source: str, folder: Path) -> dict[str, Any]:
    done = driven(source, folder)
    told: dict[str, Any] = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    return told


#: Prints whether Ray still runs when its own exit handler begins, which waits for the workers' output.
AT_RAYS_END = """
import atexit, json, ray
atexit.register(lambda: print(json.dumps({"is_up": ray.is_initialized()})))
import elastic
"""

PRINT = """
def printed(number):
    if number == 99:
        print("the last word")
    return number

flow = elastic.from_range(100, chunk_size=100).map(printed).aggregate("sum")
print(json.dumps({"value": flow.run(cluster="local", start_timeout=180).value}))
"""


def test_what_workers_print_last_is_shown(tmp_path: Path) -> None:
    done = driven(AT_RAYS_END + PRINT, tmp_path)
    assert '{"is_up": true}' in done.stdout
    assert "the last word" in done.stdout + done.stderr


def test_a_program_that_imports_ray_first_has_its_ray_and_does_not_wait_for_output_that_is_not_there(
    tmp_path: Path,
) -> None:
    lines = driven(AT_RAYS_END + PRINT.replace('print("the', 'str("the'), tmp_path).stdout.splitlines()
    assert [json.loads(line) for line in lines if line.startswith("{")] == [{"value": 4950}, {"is_up": False}]


def test_log_files_with_nothing_but_marks_tell_of_no_print(tmp_path: Path) -> None:
    assert not has_printed(tmp_path)
    (tmp_path / "worker-1.err").write_text(":job_id:01000000\n:actor_name:WorkerActor\n")
    (tmp_path / "worker-1.out").touch()
    (tmp_path / "raylet.out").write_text("of Ray itself\n")
    assert not has_printed(tmp_path)
    (tmp_path / "worker-2.out").write_text(":job_id:01000000\nno line end")
    assert has_printed(tmp_path)


RUNS = """
import asyncio, json, multiprocessing, os, sys, threading
import elastic

def flow(count):
    return elastic.from_range(count, chunk_size=10).aggregate("sum")

def run(count):
    return flow(count).run(cluster="local", start_timeout=180).value

def threads(*counts):
    # Each in a thread of its own, all at once; they end, and the threads with them.
    values = {}
    started = [threading.Thread(target=lambda n=n: values.update({n: run(n)})) for n in counts]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return [values[count] for count in counts]

def queue(*counts):
    # One after another: the thread of the queue ends in between.
    with elastic.StepQueue() as steps:
        for count in counts:
            steps.add(flow(count).step(cluster="local", start_timeout=180))
            steps.wait()
        return [result.value for result in steps.results()]

async def loop(count):
    # In a thread that the loop has for it, and in the loop itself, as the cells of a notebook are run.
    return [await asyncio.to_thread(run, count), run(count)]
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Output of a program that runs flows in several threads and leaves the import of Ray to Elastic."""
    ways = "{'threads': threads(20, 30), 'queue': queue(20, 30), 'loop': asyncio.run(loop(20)), 'main': run(20)}"
    seen = "{'listening': listeners(), 'home': sorted(path.name for path in pathlib.Path.home().iterdir())}"
    return told_by(
        LISTENERS + RUNS + f"print(json.dumps({{'ways': {ways}, **{seen}}}))", tmp_path_factory.mktemp("program")
    )


@pytest.mark.timeout(600)
def test_ray_outlives_the_thread_that_ran_the_first_flow(program: dict[str, Any]) -> None:
    assert program["ways"] == {"threads": [190, 435], "queue": [190, 435], "loop": [190, 190], "main": 190}


@pytest.mark.timeout(600)
def test_an_embedded_ray_listens_on_loopback_alone_and_writes_nothing_into_the_home(program: dict[str, Any]) -> None:
    assert program["listening"], "Ray listens somewhere"
    assert set(program["listening"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"}
    assert program["home"] == []


@pytest.mark.timeout(600)
def test_the_ray_that_a_program_has_started_itself_is_used_and_left_as_it_is(tmp_path: Path) -> None:
    told = told_by(
        RUNS + """
import atexit, ray
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
before = ray.get_runtime_context().gcs_address
values = threads(20, 30) + queue(20)
atexit.register(lambda: print(json.dumps({
    "values": values, "is_same": ray.is_initialized() and ray.get_runtime_context().gcs_address == before
})))
""",
        tmp_path,
    )  # fmt: skip
    assert told == {"values": [190, 435, 190], "is_same": True}


@pytest.mark.timeout(600)
def test_a_fork_of_a_connected_process_is_refused_and_its_end_leaves_the_parent_connected(tmp_path: Path) -> None:
    told = told_by(
        RUNS + """
import ray

def child(pipe, again):
    try:
        pipe.send(run(20))
    except elastic.ElasticError as error:
        pipe.send(f"{type(error).__name__}: {error}")
    pipe.send(flow(30).run(cluster="inline").value)
    if again:
        pipe.send(asked(multiprocessing.get_context("spawn")))

def asked(context, again=False):
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs, again))
    process.start()
    theirs.close()
    answers = [ours.recv() for _ in range(2 + again)]
    process.join()
    return [*answers, process.exitcode]

if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    before = asked(fork)
    first = run(20)
    after = asked(fork, again=True)
    print(json.dumps({"before": before, "after": after, "parent": [first, run(30)], "pid": os.getpid()}))
""",
        tmp_path,
    )  # fmt: skip
    assert told["before"] == [190, 435, 0], "Ray was imported, and the fork starts one of its own"
    refusal, *rest = told["after"]
    assert refusal.startswith(f"ClusterError: this process was forked from process {told['pid']}, which is connected")
    assert rest == [435, [190, 435, 0], 0], "a fresh process has a Ray of its own"
    assert told["parent"] == [190, 435]


@pytest.mark.timeout(600)
def test_a_start_of_ray_that_fails_leaves_no_process_and_the_next_one_succeeds(tmp_path: Path) -> None:
    told = told_by(
        RUNS + """
from pathlib import Path

def tried(**options):
    try:
        flow(20).run(cluster="local", **options)
    except elastic.ElasticError as error:
        return f"{type(error).__name__}: {error}"

def children():
    stats = [(path / "stat").read_text() for path in Path("/proc").glob("[0-9]*") if (path / "stat").exists()]
    parents = [stat.rpartition(")")[2].split()[1] for stat in stats]
    return parents.count(str(os.getpid()))

os.environ["RAY_gcs_server_port_wait_time_s"] = "0"
failed, left = tried(start_timeout=180), children()
del os.environ["RAY_gcs_server_port_wait_time_s"]
print(json.dumps({"failed": failed, "left": left, "late": tried(start_timeout=0.01), "value": run(20)}))
""",
        tmp_path,
    )  # fmt: skip
    assert told["failed"].startswith("ClusterError: Ray could not be started on this machine: ")
    assert told["left"] == 0
    assert told["late"].startswith("ClusterError: Ray could not be started on this machine within 0.01 s; free")
    assert told["value"] == 190
