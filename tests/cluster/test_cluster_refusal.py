"""Clusters and nodes that cannot be used are refused by name."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from elastic.testing import RayCluster
from elastic.version import __version__

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]

DRIVER = """
import logging, socket, sys, threading
import elastic

def until_refused(word):
    # Ends only with the driver's word, so that the other node's word comes first.
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)
    return word

server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
refused = threading.Event()

class Seen(logging.Handler):
    def emit(self, record):
        print("log:", record.getMessage())
        refused.set()

logging.getLogger("elastic.cluster").addHandler(Seen())

def admit():
    waiting = server.accept()[0]
    refused.wait()
    waiting.close()
    while True:
        server.accept()[0].close()

threading.Thread(target=admit, daemon=True).start()
result = elastic.from_iterable(["a"] * 20, chunk_size=1).map(until_refused).aggregate("count").run()
print("value:", dict(result.value))
"""


def test_a_node_with_another_version_is_refused_by_name_and_the_others_do_the_work(tmp_path: Path) -> None:
    shim = tmp_path / "shim"
    shutil.copytree(ROOT / "elastic", shim / "elastic", ignore=shutil.ignore_patterns("__pycache__"))
    (shim / "elastic" / "version.py").write_text('"""Another one."""\n\n__version__ = "0.0.7"\n')
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    with RayCluster(cpus=(1, 1), environments=({}, {"PYTHONPATH": str(shim)})) as nodes:
        environment = {**nodes.environment, "ELASTIC_HOME": os.environ["ELASTIC_HOME"]}
        done = subprocess.run(
            # Ray adds the working folder to the paths of all nodes, so it must not be this project's.
            [sys.executable, str(driver)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert "value: {'a': 20}" in done.stdout, done.stderr[-2000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("log:")]
    assert f"it has Elastic 0.0.7 and this one {__version__}" in line


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ("127.0.0.1:1", "nothing answers at 127.0.0.1:1 "),
        ("no-such-host.invalid:6379", "nothing answers at no-such-host.invalid:6379 "),
        # Ray may find a private cluster of another process of this machine.
        ("auto", r"no Ray cluster could be reached on this machine|nothing answers at \S+:\d+ "),
    ],
)
def test_a_missing_cluster_is_reported_in_one_sentence(cluster: str, expected: str, tmp_path: Path) -> None:
    assert re.search(expected, joined(cluster, tmp_path))
    assert list(Path(os.environ["ELASTIC_HOME"]).iterdir()) == [], "nothing was begun"


def joined(cluster: str, folder: Path) -> str:
    """Return the last line of the error of a cluster that cannot be joined, without those of Ray."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(folder)}
    command = [sys.executable, "-m", "elastic", "example", "word-count", "--cluster", cluster]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=500, cwd=folder, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    # Ray adds lines with times, before or after it, if another cluster of this machine refuses it or is about to end.
    told = [line for line in done.stderr.splitlines() if not re.match(r"\[?\d{4}-\d\d-\d\d ", line)]
    assert "Traceback" not in done.stderr
    return told[-1]


def test_a_node_that_outlived_its_head_is_not_waited_for(tmp_path: Path) -> None:
    # Ray finds clusters by the names of processes.
    orphan = subprocess.Popen(
        ["raylet", "-c", "input()", "--gcs-address=127.0.0.1:1"], executable=sys.executable, stdin=subprocess.PIPE
    )
    try:
        told = joined("auto", tmp_path)
    finally:
        orphan.communicate(b"\n")
    # Ray may find another cluster of this machine, which requires a token, starts or is about to end.
    others = (
        "no Ray cluster could be reached on this machine|the Ray cluster on this machine has not accepted this process"
    )
    assert re.search(rf"nothing answers at \S+:\d+ |{others}", told), told
