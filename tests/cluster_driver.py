"""Drivers of a cluster in separate processes, a rendezvous for their functions, and parameters of clusters."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from elastic.testing import RayCluster


def inline_and_once_on_ray(name: str, values: Sequence[Any]) -> pytest.MarkDecorator:
    """Parametrize a test with each value in this process, and with the last value on an embedded Ray."""
    rows = [*(("inline", value) for value in values), pytest.param("local", values[-1], marks=pytest.mark.cluster)]
    return pytest.mark.parametrize(("cluster", name), rows, indirect=["cluster"])


def run_driver(script: Path, nodes: RayCluster, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a driver script in a separate process, as a user of the cluster does."""
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**nodes.environment, "ELASTIC_HOME": os.environ["ELASTIC_HOME"]},
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def printed_by(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return the one JSON object that a driver printed, among the lines that Ray prints."""
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    told: dict[str, Any] = json.loads(line)
    return told


#: Processes chunks only while workers of two nodes exist, so that both nodes get some.
RENDEZVOUS = """
import os, socket, threading

def hold(expected=2):
    server = socket.create_server(("127.0.0.1", 0))
    def admit():
        waiting = [server.accept()[0] for _ in range(expected)]
        for connection in waiting:
            connection.close()
        while True:
            server.accept()[0].close()
    threading.Thread(target=admit, daemon=True).start()
    return server.getsockname()[1]

met = set()

def meet(port):
    if port not in met:
        met.add(port)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.recv(1)
"""
