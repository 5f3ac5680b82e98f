"""`module:attr` and `file.py:attr` lead to a step, or to a sentence."""

import sys
from pathlib import Path

import pytest

from elastic.core.errors import FlowTargetError, UsageError
from elastic.engine.run import run
from elastic.flow.loader import step_at

SCRIPT = """
import dataclasses
import elastic
from elastic.aggregators import Sum
import {beside}

@dataclasses.dataclass
class Point:
    x: int

numbers = elastic.from_range(10).map({beside}.double).aggregate(Sum()).options(cluster="inline")
step = elastic.Step([1, 2], task=sum, cluster="inline")

def made():
    return elastic.from_iterable([Point(1).x]).aggregate("sum").options(cluster="inline")

def typed(of):
    return made()

def broken():
    raise TypeError("own fault")

def leaving():
    raise SystemExit(3)

nothing = None
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with flows, and a module beside it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    beside = f"beside_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{beside}.py").write_text("def double(number):\n    return number * 2\n")
    path = tmp_path / f"flows_{beside}.py"
    path.write_text(SCRIPT.format(beside=beside))
    return path


@pytest.mark.parametrize(("attribute", "value"), [("numbers", 90), ("step", 3), ("made", 1)])
def test_a_flow_a_step_and_a_function_that_returns_one_are_found(attribute: str, value: int, script: Path) -> None:
    assert run(step_at(f"{script}:{attribute}")).value == value
    assert run(step_at(f"{script.stem}:{attribute}")).value == value


def test_a_file_that_was_loaded_leaves_no_module_behind(script: Path) -> None:
    before = set(sys.modules)
    step_at(f"{script}:step")
    assert {name for name in set(sys.modules) - before if "flow" in name} == set()


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("nubmers", "has no 'nubmers'; did you mean 'numbers'"),
        ("zzz", "has no 'zzz'; its flows are numbers, step"),
        ("Point", "is type, not a Flow, a Step or a function that returns one"),
        ("nothing", "is NoneType, not a Flow"),
        ("typed", "is a function that cannot be called without arguments"),
        ("broken", r"was called and failed \(TypeError: own fault\)"),
        ("leaving", r"was called and failed \(SystemExit: 3\)"),
    ],
)
def test_what_is_no_flow_is_named(attribute: str, text: str, script: Path) -> None:
    with pytest.raises(FlowTargetError, match=text):
        step_at(f"{script}:{attribute}")


@pytest.mark.parametrize("target", ["words", ":words", "words.py:", "", ":"])
def test_a_target_without_its_parts_is_refused(target: str) -> None:
    with pytest.raises(FlowTargetError, match=r"is not a target; expected module:attr or file.py:attr"):
        step_at(target)


def test_a_file_or_module_that_is_not_there_is_named(script: Path) -> None:
    with pytest.raises(FlowTargetError, match=r"there is no file 'nowhere\.py'"):
        step_at("nowhere.py:flow")
    with pytest.raises(FlowTargetError, match=r"module 'nowhere_at_all' cannot be imported \(ModuleNotFoundError"):
        step_at("nowhere_at_all:flow")


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("1 / 0", FlowTargetError, r"cannot be loaded \(ZeroDivisionError: division by zero\)"),
        ("def", FlowTargetError, r"cannot be loaded \(SyntaxError: "),
        ("import sys; sys.exit(0)", FlowTargetError, r"cannot be loaded \(SystemExit: 0\)"),
        ("import elastic; elastic.from_range(3).aggregate('cuont')", UsageError, "did you mean 'count'"),
        ("import elastic; elastic.from_range(3).run(cluser='x')", UsageError, "did you mean 'cluster'"),
    ],
)
def test_a_file_that_fails_while_it_is_loaded_is_told_in_a_sentence(
    code: str, error: type[Exception], text: str, script: Path
) -> None:
    script.write_text(code)
    with pytest.raises(error, match=text):
        step_at(f"{script}:flow")
