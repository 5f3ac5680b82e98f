"""Plug-ins: a wheel of another package, and files in the home folder."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elastic.cli.command_index import CommandGroup
from elastic.dag.templating.macros import macros_with
from elastic.plugins.plugin import PluginError, find, forget, plugins, problem_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Search for plug-ins in each test."""
    forget()
    yield
    forget()


def write(home: Path, name: str, text: str) -> Path:
    folder = home / "plugins"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def test_a_file_of_the_home_folder_is_loaded_at_the_first_look_up(home: Path) -> None:
    write(home, "mine", "print('loaded')\nPLUGINS = {'elastic.macros': {'twice': lambda text: text * 2}}")
    macros = macros_with({"own": str.upper})
    assert macros.own("a") == "A"
    assert macros.twice("ab") == "abab"
    with pytest.raises(AttributeError, match="macros has no 'thrice'"):
        _ = macros.thrice


def test_a_broken_file_is_named_and_the_others_work(home: Path) -> None:
    broken = write(home, "broken", "import nothing_of_that_name")
    wrong = write(home, "wrong", "PLUGINS = {'elastic.macro': {}}")
    bare = write(home, "bare", "x = 1")
    ending = write(home, "ending", "raise SystemExit('stop')")
    numbered = write(home, "numbered", "PLUGINS = {'elastic.macros': {1: 2}}")
    write(home, "good", "PLUGINS = {'elastic.macros': {'one': 1}}")
    assert find("elastic.macros", "one") == 1
    found = {one.distribution: problem_of(one) for one in plugins() if str(home) in one.distribution}
    assert found.pop(str(broken)) == "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert found.pop(str(wrong)).startswith(f"{wrong}: there is no group 'elastic.macro'; the groups are elastic.hooks")
    assert found.pop(str(bare)).startswith(f"{bare} must define PLUGINS")
    assert found.pop(str(ending)) == "SystemExit: stop"
    assert found.pop(str(numbered)) == f"{numbered}: the name 1 of a plug-in must be a string."
    assert list(found.values()) == [""]


def test_a_file_may_define_data_classes(home: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass One:\n    n: int\n"
    write(home, "data", f"{text}PLUGINS = {{'elastic.macros': {{'one': One(1)}}}}")
    assert find("elastic.macros", "one").n == 1


def test_a_command_that_is_no_function_is_an_error(home: Path) -> None:
    write(home, "wrong", "PLUGINS = {'elastic.cli': {'hi': 3}}")
    with pytest.raises(PluginError, match=r"the plug-in 'hi' .elastic.cli. is no typer.Typer or function; correct"):
        CommandGroup()["hi"]


def test_two_plugins_of_one_name_are_an_error_that_names_both(home: Path) -> None:
    for name in ("a", "b"):
        write(home, name, "PLUGINS = {'elastic.macros': {'one': 1}}")
    said = rf"two plug-ins have the name 'one' .elastic.macros.: of {home}/plugins/a.py and of {home}/plugins/b.py; "
    with pytest.raises(PluginError, match=said):
        find("elastic.macros", "one")
    assert find("elastic.macros", "two") is None


def test_a_file_that_others_can_change_is_not_run(home: Path) -> None:
    path = write(home, "open", f"open({str(home / 'ran')!r}, 'w')\nPLUGINS = {{}}")
    path.chmod(0o666)
    assert find("elastic.macros", "one") is None
    (problem,) = [problem_of(one) for one in plugins() if one.distribution == str(path)]
    assert problem == f"{path} can be changed by others than its owner; run `chmod go-w {path}`."
    assert not (home / "ran").exists()


@pytest.mark.slow
def test_a_wheel_adds_a_notifier_an_operator_a_macro_a_schedule_and_a_command(tmp_path: Path, home: Path) -> None:
    target = tmp_path / "installed"
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path)]
    source = tmp_path / "source"
    source.mkdir()
    for path in (HERE / "sample_plugin").iterdir():
        if path.is_file():
            (source / path.name).write_bytes(path.read_bytes())
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    # A wheel is an archive of what an installer copies to a folder of the search path.
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(target)], check=True)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{target}:{ROOT}", "ELASTIC_HOME": str(home)}
        environment["ELASTIC_CONN_WIRE"] = "telegraph://office"
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment)

    listed = run("-m", "elastic", "plugins", "-o", "json")
    found = {(row["name"], row["distribution"], row["version"]): row["error"] for row in json.loads(listed.stdout)}
    assert listed.returncode == 1, "one of them is broken"
    assert {name for name, *_ in found} >= {"telegraph", "broken", "WireOperator", "shout", "@fiscal", "greet"}
    assert found["telegraph", "sample-plugin", "1.2"] == ""
    assert (
        "plug-in 'broken' (elastic.notifiers) of sample-plugin cannot be loaded"
        in found["broken", "sample-plugin", "1.2"]
    )
    assert run("-m", "elastic", "greet", "ada").stdout == "hello ada\n"
    assert "No such command 'greets'" in run("-m", "elastic", "greets").stderr
    program = """
from elastic import DAG
from elastic.config.settings import read_settings
from elastic.operators import WireOperator
from elastic.notifiers.registry import notifier_of
from elastic.dag.templating.macros import macros_with
dag = DAG("etl", schedule="@fiscal", start_date="2016-01-01")
wire = notifier_of("wire", read_settings())
print(type(wire).__name__, WireOperator(task_id="t", dag=dag), macros_with().shout("hi"))
print(dag.schedule.next(dag.start_date).date())
"""
    done = run("-c", program)
    assert done.stdout.splitlines() == ["Telegraph <Task(WireOperator): t> HI!", "2016-10-01"], done.stderr
