"""A fingerprint tells whether code does something else, and nothing of where it lies or which process asks."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from elastic.aggregators import GroupBy, Sum, TopK
from elastic.engine.fingerprint import fingerprint

ROOT = Path(__file__).parents[2]
ORIGINAL = '''
import functools, math, operator, re
from dataclasses import dataclass
from enum import Enum

LIMIT = 3
WORDS = {"a", "b", "c", "d"}
PATTERN = re.compile("[a-z]+")

class Colour(Enum):
    RED = 1

@dataclass
class Scale:
    factor: int = 2
    names: frozenset = frozenset({"x", "y", "z"})
    def __call__(self, entry):
        return entry * self.factor

class Base:
    def go(self, entry):
        return entry + 1

class Derived(Base):
    """Text."""

def helper(entry):
    return entry + LIMIT

def task(entry, by=2):
    def inner(value):
        return value in {"p", "q", "r"} or helper(value)
    return [inner(e) for e in PATTERN.findall(entry) if e not in WORDS], math.sqrt(by), Colour.RED

def closing(value):
    def enclosed(entry):
        return entry + value
    return enclosed

def recursive(entry):
    return mutual(entry - 1) if entry else 0

def mutual(entry):
    return recursive(entry)

def unused(entry):
    return 1

FLOWS = [
    task, helper, closing(3), closing([1, {"k": (2.0, None)}]), Scale(), Scale(5), Derived().go, Derived,
    functools.partial(task, by=4), lambda entry: entry + 1, operator.itemgetter(1), str.split, " ".join, recursive,
]
'''
INDEX = {"task": 0, "closing": 2, "closing-list": 3, "scale": 4, "method": 6, "class": 7, "partial": 8, "lambda": 9}


def loaded(text: str) -> list[Any]:
    module = ModuleType("loaded_from_text")
    exec(compile(text, "anywhere.py", "exec"), module.__dict__)
    flows: list[Any] = module.__dict__["FLOWS"]
    return flows


def marks(text: str) -> list[str]:
    return [fingerprint(flow) for flow in loaded(text)]


def test_all_of_these_are_told_apart() -> None:
    found = marks(ORIGINAL)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nimport", "\n\n\n# a comment\nimport"),
        ("def unused(entry):\n    return 1", "def unused(entry):\n    return 2"),
        ('"a", "b", "c", "d"', '"d", "c", "b", "a"'),
        ('{"p", "q", "r"}', '{"r", "q", "p"}'),
    ],
)
def test_what_changes_nothing_changes_no_fingerprint(old: str, new: str) -> None:
    assert old in ORIGINAL
    assert marks(ORIGINAL.replace(old, new)) == marks(ORIGINAL)


@pytest.mark.parametrize(
    ("old", "new", "which"),
    [
        ("LIMIT = 3", "LIMIT = 4", "task"),
        ("LIMIT = 3", "LIMIT = 3.0", "task"),
        ("entry + LIMIT", "entry - LIMIT", "task"),
        ("by=2", "by=3", "task"),
        ('{"p", "q", "r"}', '{"p", "q", "s"}', "task"),
        ('"c", "d"', '"c", "e"', "task"),
        ("[a-z]+", "[a-z]*", "task"),
        ("math.sqrt", "math.exp", "task"),
        ("RED = 1", "RED = 2\n    BLUE = 3", "task"),
        ("closing(3)", "closing(4)", "closing"),
        ("return entry + value", "return entry * value", "closing"),
        ("(2.0, None)", "(2.0, 0)", "closing-list"),
        ("factor: int = 2", "factor: int = 3", "scale"),
        ("entry * self.factor", "entry ** self.factor", "scale"),
        ('"y", "z"', '"y", "w"', "scale"),
        ("return entry + 1\n\nclass", "return entry + 2\n\nclass", "method"),
        ("return entry + 1\n\nclass", "return entry + 2\n\nclass", "class"),
        ("by=4", "by=5", "partial"),
        ("lambda entry: entry + 1", "lambda entry: entry + 2", "lambda"),
    ],
)
def test_what_changes_the_answer_changes_the_fingerprint(old: str, new: str, which: str) -> None:
    assert ORIGINAL.count(old) >= 1
    index = INDEX[which]
    assert marks(ORIGINAL.replace(old, new))[index] != marks(ORIGINAL)[index]


def test_every_process_says_the_same_wherever_the_file_lies(tmp_path: Path) -> None:
    script = "import sys\nfrom elastic.engine.fingerprint import fingerprint\nprint([fingerprint(f) for f in FLOWS])\n"
    said = set()
    for number in range(4):
        path = tmp_path / str(number) / f"name{number}.py"
        path.parent.mkdir()
        path.write_text("\n" * number + ORIGINAL + script)
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, path], env=environment, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (str.split, str.upper),
        (Sum(), TopK(3)),
        (TopK(3), TopK(4)),
        (GroupBy(Sum()), GroupBy(TopK(3))),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (functools.partial(max, 1), functools.partial(min, 1)),
        ("-".join, "+".join),
    ],
)
def test_library_code_counts_by_name_and_parameters(one: Callable[..., Any], other: Callable[..., Any]) -> None:
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


def test_a_module_beside_the_script_belongs_to_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for number in (1, 2):
        (tmp_path / "beside_the_script.py").write_text(f"def step(entry):\n    return entry + {number}\n")
        sys.modules.pop("beside_the_script", None)
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            whole = loaded("import beside_the_script\nFLOWS = [lambda entry: beside_the_script.step(entry)]")
            named = loaded("from beside_the_script import step\nFLOWS = [lambda entry: step(entry)]")
        finally:
            sys.dont_write_bytecode = before
        found.append((fingerprint(whole[0]), fingerprint(named[0])))
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]
    sys.modules.pop("beside_the_script", None)


def test_an_object_that_holds_itself_has_a_fingerprint() -> None:
    whole: list[Any] = [1]
    whole.append(whole)
    assert fingerprint(whole) != fingerprint([1, [1]])
