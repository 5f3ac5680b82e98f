"""The page about sensors: its DAG runs by its commands, and its own trigger gives an answer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/sensors.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands_of_the_page_run_its_dag(tmp_path: Path) -> None:
    first, own = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "arrivals.py").write_text(first)
    shell = re.search(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shell
    commands = shell[1].replace("elastic ", f"{sys.executable} -m elastic ")
    done = subprocess.run(
        ["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rows" in done.stdout
    assert "'in/2016-02-22.csv' is there" in done.stdout
    flag = "import os\nos.environ['ELASTIC_CONN_FLAGS'] = 'http://host?ready=on'\n"
    asked = "from elastic.hooks.connection_lookup import connection\nimport types\n"
    checked = "print(FlagTrigger(name='ready').check(types.SimpleNamespace(connection=connection)).done)"
    done = subprocess.run(
        [sys.executable, "-c", flag + own + asked + checked], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "True", done.stderr
