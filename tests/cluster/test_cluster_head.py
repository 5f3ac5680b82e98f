"""If Ray's head is killed, the run is suspended and resumes on another cluster."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import elastic
from elastic.testing import RayCluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]

FLOW = """
import os, threading
from pathlib import Path
import elastic

folder = Path(os.environ["ELASTIC_HOME"]).parent

def work(number):
    if number >= 1000 and not (folder / "go").exists():
        (folder / "stuck").touch()
        while not (folder / "go").exists():
            threading.Event().wait(0.05)
    return number

options = {"heartbeat": elastic.Heartbeat(timeout=3), "collect_interval": 0.1, "max_chunks_per_call": 2}
step = elastic.from_range(2000, chunk_size=10).map(work).aggregate("sum").step(**options)
"""


def command(cluster: RayCluster, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**cluster.environment, "ELASTIC_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "elastic", *arguments, "--cluster", cluster.address, "-o", "json"],
        env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def head_process(cluster: RayCluster) -> int:
    """Return the process id of the cluster's `gcs_server`."""
    port = cluster.address.rpartition(":")[2]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0].endswith(b"gcs_server") and f"--gcs_server_port={port}".encode() in arguments:
            return int(folder.name)
    raise LookupError(f"no gcs_server listens at {cluster.address}")


def test_a_run_whose_cluster_loses_its_head_is_suspended_and_goes_on_on_another_cluster(
    ray_nodes: RayCluster, tmp_path: Path
) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    with RayCluster(cpus=(2,)) as doomed:
        driver = command(doomed, tmp_path, "flow", "run", "flow.py:step")
        while not (tmp_path / "stuck").exists() and driver.poll() is None:
            threading.Event().wait(0.05)
        os.kill(head_process(doomed), signal.SIGKILL)
        output, errors = driver.communicate(timeout=280)
        assert driver.returncode == 75, errors
        assert output == ""
        assert "has not answered for" in errors
        assert "run `elastic resume" in errors
        assert "Traceback" not in errors
    (tmp_path / "go").touch()
    resumed = command(ray_nodes, tmp_path, "resume", "last", "flow.py:step")
    output, errors = resumed.communicate(timeout=280)
    assert resumed.returncode == 0, errors
    told = json.loads(output)
    assert (told["value"], told["entries"]) == (sum(range(2000)), 2000)
    assert elastic.verify("last", home=tmp_path / "home").ok
