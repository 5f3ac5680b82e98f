"""JSON output of the command stays valid, whatever workers print and however they end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]

FLOW = """
import os, pathlib, signal
import elastic

flag = pathlib.Path(__file__).with_name("flag")

def noisy(number):
    print("noise", number)
    if number == 70 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number

flow = elastic.from_range(100, chunk_size=10).map(noisy).aggregate("sum")
"""


def test_json_is_all_that_is_printed_when_workers_print_and_die(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(FLOW)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-m", "elastic", "flow", "run", "noisy.py:flow", "--cluster", "local", "-o", "json"]
    done = subprocess.run(
        command,
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["value"] == 4950
    assert told["counters"]["workers_lost"] == 1
