"""Values that tasks pass on to later tasks of their run: JSON, and small."""

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from elastic.core.text import json_text
from elastic.dag.errors import XComError
from elastic.dag.key import TaskKey

#: The key of what a task returns.
RETURN_VALUE = "return_value"

#: How many bytes a value may take as JSON in UTF-8: it goes into a row, and large data belongs into files.
LARGEST = 48 * 1024

#: How many lists and dicts may lie in each other.
_DEEPEST = 100


class XComStore(Protocol):
    """Keeps the values of runs. It sees them as text."""

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        """Keep a value; one that is there already is replaced."""

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        """Return the values of a task by map index (-1 for a task that is not mapped)."""


class MemoryXCom:
    """Keeps values in this process: for tests of DAGs, and for runs that are not kept."""

    def __init__(self) -> None:
        self._values: dict[tuple[TaskKey, str], str] = {}

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        self._values[key, name] = encoded

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        wanted = (dag_id, run_id, task_id, name)
        return {
            key.map_index: encoded
            for (key, found), encoded in self._values.items()
            if (key.dag_id, key.run_id, key.task_id, found) == wanted
        }


class NoXCom:
    """Stands where a task instance was made by hand: it has no run to pass values in."""

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        raise XComError(key.task_id, name, "this task instance is not part of a run; use the `ti` of the context")

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        raise XComError(task_id, name, "this task instance is not part of a run; use the `ti` of the context")


def encode_xcom(value: Any, *, task_id: str, key: str = RETURN_VALUE) -> str:
    """Return a value as JSON.

    None, booleans, numbers, text, lists and dicts with text as keys come back as they were; a tuple comes back as a
    list.

    Raises:
        XComError: It is something else, not finite, nested too deeply, or larger than 48 KiB.
    """
    problem = _problem(value, _DEEPEST)
    if problem:
        raise XComError(task_id, key, problem)
    try:
        text = json_text(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        size = len(text.encode("utf-8"))
    except (TypeError, ValueError, RecursionError) as error:
        raise XComError(task_id, key, f"it cannot be written as JSON ({error})") from error
    if size > LARGEST:
        raise XComError(
            task_id, key, f"it takes {size:,} bytes and {LARGEST:,} are allowed; write it to a file, pass on the path"
        )
    return text


def decode_xcom(text: str, *, task_id: str, key: str = RETURN_VALUE) -> Any:
    """Return the value that a text stands for.

    Raises:
        XComError: It is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise XComError(task_id, key, f"what is stored is no JSON ({error})") from error


def _problem(value: Any, depth: int) -> str:
    """Say what JSON would refuse or silently change in a value; empty if nothing."""
    if depth == 0:
        return f"more than {_DEEPEST} lists and dicts lie in each other"
    if value is None or isinstance(value, bool | int | str):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} has no form in JSON; pass on None instead"
    if isinstance(value, list | tuple):
        return next((found for one in value if (found := _problem(one, depth - 1))), "")
    if isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(name, str):
                return f"the key {name!r} of a dict is {type(name).__name__}, and JSON has text only; use str({name!r})"
            if found := _problem(one, depth - 1):
                return found
        return ""
    return f"{_kind(value)} is no JSON; pass on text, numbers, lists and dicts{_advice(value)}"


def _kind(value: Any) -> str:
    return f"a value of type {type(value).__module__}.{type(value).__qualname__}"


def _advice(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return " (here: value.isoformat())"
    if isinstance(value, set | frozenset):
        return " (here: sorted(value))"
    return ""
