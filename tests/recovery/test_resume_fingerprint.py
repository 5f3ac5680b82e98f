"""Fingerprints of code: they depend on its behaviour, not on its path or the process."""

import functools
import json
import operator
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import elastic
from elastic import aggregators
from elastic.aggregators import GroupBy, Sum, TopK
from elastic.core.errors import UsageError
from elastic.engine.fingerprint.code_fingerprint import PUBLIC_NAMES, fingerprint, public_name
from elastic.engine.fingerprint.step_code import parts_of
from elastic.flow.loader import step_at

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

@functools.lru_cache(maxsize=8)
def remembered(entry):
    return entry + 7

def documented(entry):
    "seven"
    return "seven"

def made(entry):
    class Inside:
        kept = 1
    return Inside.kept, remembered(entry), documented(entry)

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
    made,
]
'''
INDEX = {
    "task": 0, "closing": 2, "closing-list": 3, "scale": 4, "method": 6, "class": 7, "partial": 8, "lambda": 9,
    "made": 14,
}  # fmt: skip


def loaded(text: str) -> list[Any]:
    module = ModuleType("loaded_from_text")
    exec(compile(text, "anywhere.py", "exec"), module.__dict__)
    flows: list[Any] = module.__dict__["FLOWS"]
    return flows


def marks(text: str) -> list[str]:
    return [fingerprint(flow) for flow in loaded(text)]


def test_all_samples_have_different_fingerprints() -> None:
    found = marks(ORIGINAL)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nimport", "\n\n\n# a comment\nimport"),
        ("def unused(entry):\n    return 1", "def unused(entry):\n    return 2"),
        ('"a", "b", "c", "d"', '"d", "c", "b", "a"'),
        ('{"p", "q", "r"}', '{"r", "q", "p"}'),
        ("def helper(entry):", 'def helper(entry):\n    """Help."""'),
        ("def task(entry, by=2):", 'def task(entry, by=2):\n    """Work."""'),
        ("    def inner(value):", '    def inner(value):\n        """Look."""'),
        ('"""Text."""', '"""Another text."""'),
        ("        kept = 1\n", '        """A class inside."""\n        kept = 1\n'),
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
        ("return entry + 7", "return entry + 8", "made"),
        ("maxsize=8", "maxsize=9", "made"),
        ("kept = 1", "kept = 2", "made"),
        ('"seven"', '"eight"', "made"),
    ],
)
def test_what_changes_the_answer_changes_the_fingerprint(old: str, new: str, which: str) -> None:
    assert ORIGINAL.count(old) >= 1
    index = INDEX[which]
    assert marks(ORIGINAL.replace(old, new))[index] != marks(ORIGINAL)[index]


def test_every_process_says_the_same_wherever_the_file_lies(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom elastic.engine.fingerprint.code_fingerprint import fingerprint\n"
        "print([fingerprint(f) for f in FLOWS])\n"
    )
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


def newest_python() -> str | None:
    """Return the newest Python of this machine that is newer than this one."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [*map(str, root.glob("versions/3.*/bin/python"))]
    candidates += filter(None, (shutil.which(f"python3.{minor}") for minor in range(12, 20)))
    found = {}
    for path in candidates:
        asked = subprocess.run(
            [path, "-c", "import sys; print(*sys.version_info[:3])"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            found[tuple(map(int, asked.stdout.split()))] = path
    newest = max(found, default=(0,))
    return found[newest] if newest[:2] > sys.version_info[:2] else None


@pytest.mark.parametrize("which", ["this", "newest"])
def test_using_code_changes_no_fingerprint_in_any_process(which: str) -> None:
    python = sys.executable if which == "this" else newest_python()
    if python is None:
        pytest.skip("there is no newer Python on this machine")
    package = find_spec("ray")
    if package is None:
        pytest.skip("Ray, with whose cloudpickle functions are sent, is not installed")
    sending = Path(str(package.origin)).parent / "cloudpickle" / "cloudpickle.py"
    command = [python, ROOT / "tests/recovery/fingerprint_acts.py", ROOT, sending]
    said = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    assert {name: len(set(after)) for name, after in said[0].items()} == dict.fromkeys(said[0], 1)
    assert said[0] == said[1]
    assert len({after[0] for after in said[0].values()}) == len(said[0])


FLOW = """
import os
import elastic
from elastic import aggregators

GroupBy = getattr(aggregators, "Grouped", None) or aggregators.GroupBy

def fragile(number):
    if number == 777 and os.environ.get("BROKEN"):
        raise ValueError("bad")
    return number % 3, number

flow = elastic.from_range(900, chunk_size=30).map(fragile).aggregate(GroupBy("max"))
flow = flow.options(cluster="inline", commit_interval=1e-9, collect_interval=1e-9, target_call_seconds=1e-9)
"""


class OtherElastic:
    """Another version of Elastic: a copy with edited sources."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "elastic", folder / "elastic", ignore=shutil.ignore_patterns("__pycache__"))

    def replace(self, pattern: str, text: str) -> None:
        replaced = 0
        for path in self.folder.rglob("*.py"):
            changed, count = re.subn(pattern, text, path.read_text(encoding="utf-8"))
            if count:
                path.write_text(changed, encoding="utf-8")
                replaced += count
        assert replaced

    def begin(self, flow: Path) -> None:
        """Run a flow that fails after some chunks."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "BROKEN": "yes", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "elastic", "flow", "run", f"{flow}:flow"]
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert "ValueError: bad" in done.stderr


@pytest.fixture
def other_elastic(tmp_path: Path) -> OtherElastic:
    (tmp_path / "flow.py").write_text(FLOW)
    return OtherElastic(tmp_path / "other")


def test_a_run_goes_on_after_elastic_moved_its_modules_and_renamed_its_classes(
    other_elastic: OtherElastic, tmp_path: Path
) -> None:
    group_by = other_elastic.folder / "elastic/aggregators/keyed/group_by.py"
    group_by.rename(group_by.with_name("grouped.py"))
    other_elastic.replace(r"aggregators\.keyed\.group_by", "aggregators.keyed.grouped")
    other_elastic.replace(r"\bGroupBy\b", "Grouped")
    other_elastic.replace(r"PUBLIC_NAMES: dict\[str, str\] = {", 'PUBLIC_NAMES = {"Grouped": "GroupBy", ')
    other_elastic.begin(tmp_path / "flow.py")
    result = elastic.resume("last", step_at(f"{tmp_path / 'flow.py'}:flow"))
    assert dict(result.value) == {0: 897, 1: 898, 2: 899}
    assert result.entries == 900


def test_a_run_of_another_fingerprint_is_refused_without_blame(other_elastic: OtherElastic, tmp_path: Path) -> None:
    other_elastic.replace(r"FINGERPRINT_VERSION = \d+", "FINGERPRINT_VERSION = 1")
    other_elastic.begin(tmp_path / "flow.py")
    step = step_at(f"{tmp_path / 'flow.py'}:flow")
    with pytest.raises(UsageError, match="Elastic's own fingerprint of code changed"):
        elastic.resume("last", step)
    assert dict(elastic.resume("last", step, allow_code_change=True).value) == {0: 897, 1: 898, 2: 899}


def test_states_of_another_form_are_not_merged_even_with_other_code(
    other_elastic: OtherElastic, tmp_path: Path
) -> None:
    other_elastic.replace(r"state_format: ClassVar\[int\] = 1", "state_format: ClassVar[int] = 2")
    other_elastic.begin(tmp_path / "flow.py")
    with pytest.raises(UsageError, match="has states of GroupBy in format 2, but this version merges format 1"):
        elastic.resume("last", step_at(f"{tmp_path / 'flow.py'}:flow"), allow_code_change=True)


@pytest.mark.parametrize(
    "function", [str.split, functools.partial(round, 1), abs, len, operator.itemgetter(0), Counter]
)
def test_library_functions_of_every_kind_have_a_label(function: Callable[..., Any]) -> None:
    [part, _] = parts_of(elastic.from_iterable(["a b"]).map(function).step())
    assert part.label.startswith("map(")


def test_no_two_aggregators_of_elastic_share_a_public_name() -> None:
    kinds = [value for value in vars(aggregators).values() if isinstance(value, type)]
    assert len({public_name(kind) for kind in kinds}) == len(set(kinds))
    assert set(PUBLIC_NAMES.values()).isdisjoint(kind.__qualname__ for kind in kinds)
