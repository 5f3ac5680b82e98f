"""An embedded Ray is private: its own token, loopback alone, no file left behind; and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from elastic.stages.ray_cluster import has_printed

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]

RUN = """
print(json.dumps({
    "value": elastic.from_range(100, chunk_size=10).aggregate("sum").run(cluster="local").value,
    "listening": listeners(),
    "home": sorted(path.name for path in pathlib.Path.home().iterdir()),
}))
"""

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


def test_an_embedded_ray_listens_on_loopback_alone_and_writes_nothing_into_the_home(tmp_path: Path) -> None:
    told = told_by(LISTENERS + RUN, tmp_path)
    assert told["value"] == 4950
    assert told["listening"], "Ray listens somewhere"
    assert set(told["listening"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"}
    assert told["home"] == []


def test_a_program_that_imports_ray_first_has_the_ray_that_it_asked_for(tmp_path: Path) -> None:
    assert told_by("import ray\n" + LISTENERS + RUN, tmp_path)["value"] == 4950


#: Tells when Ray's own end begins, which waits for what workers print, whether Ray is there still.
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

elastic.from_range(100, chunk_size=100).map(printed).aggregate("sum").run(cluster="local")
"""


def test_what_workers_print_last_is_shown(tmp_path: Path) -> None:
    done = driven(AT_RAYS_END + PRINT, tmp_path)
    assert '{"is_up": true}' in done.stdout
    assert "the last word" in done.stdout + done.stderr


def test_where_workers_printed_nothing_nobody_waits_for_it(tmp_path: Path) -> None:
    assert told_by(AT_RAYS_END + PRINT.replace("print(", "str("), tmp_path) == {"is_up": False}


def test_log_files_with_nothing_but_marks_tell_of_no_print(tmp_path: Path) -> None:
    assert not has_printed(tmp_path)
    (tmp_path / "worker-1.err").write_text(":job_id:01000000\n:actor_name:WorkerActor\n")
    (tmp_path / "worker-1.out").touch()
    (tmp_path / "raylet.out").write_text("of Ray itself\n")
    assert not has_printed(tmp_path)
    (tmp_path / "worker-2.out").write_text(":job_id:01000000\nno line end")
    assert has_printed(tmp_path)
