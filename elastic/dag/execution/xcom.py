"""Values that tasks pass on to later tasks of their run: JSON, and small."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Protocol

from elastic.core.text import json_text
from elastic.dag.errors import ScheduleError, XComError
from elastic.dag.ids import TaskKey
from elastic.dag.timetable.interval import plain, plain_length, zone_name, zone_of

#: The key of what a task returns.
RETURN_VALUE = "return_value"

#: How many bytes a value may take as JSON in UTF-8: it goes into a row, and large data belongs into files.
LARGEST = 48 * 1024

#: The key of an object that stands for a value of a type that JSON does not have.
_TAG = "$xcom"

#: How many lists and dicts may lie in each other.
_DEEPEST = 100


class XComStore(Protocol):
    """Keeps the values of runs. It sees them as text."""

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        """Keep a value; one that is there already is replaced."""

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        """Return the values of a task by map index (-1 for a task that is not mapped)."""


class InMemoryXCom:
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


class DetachedXCom:
    """Stands where a task instance was made by hand: it has no run to pass values in."""

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        raise XComError(key.task_id, name, "this task instance is not part of a run; use the `ti` of the context")

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        raise XComError(task_id, name, "this task instance is not part of a run; use the `ti` of the context")


def encode_xcom(value: Any, *, task_id: str, key: str = RETURN_VALUE) -> str:
    """Return a value as JSON.

    None, booleans, numbers, text, lists and dicts with text as keys come back as they were, and so do dates,
    instants with their time zones, times, durations, Decimal, bytes, sets and frozensets, which are objects with a
    tag (`{"$xcom": "date", "value": "2016-02-22"}`). A tuple comes back as a list, in a set as a tuple.

    Raises:
        XComError: It is something else, not finite, nested too deeply, or larger than 48 KiB.
    """
    try:
        written = _written(value, _DEEPEST)
        text = json_text(json.dumps(written, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        size = len(text.encode("utf-8"))
    except _UnfitError as unfit:
        raise XComError(task_id, key, str(unfit)) from None
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
        XComError: It is no JSON, or has a tag that is not known.
    """
    try:
        return _read(json.loads(text))
    except (
        ValueError,
        RecursionError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        ScheduleError,
    ) as error:
        raise XComError(task_id, key, f"what is stored is no JSON ({error})") from error


class _UnfitError(Exception):
    """A value has no form in JSON; the text says why."""


def _written(value: Any, depth: int, *, in_set: bool = False) -> Any:
    """Return what JSON has for a value; refuse what it would silently change."""
    if depth == 0:
        raise _UnfitError(f"more than {_DEEPEST} lists and dicts lie in each other")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _UnfitError(f"{value} has no form in JSON; pass on None instead")
        return value
    if isinstance(value, list | tuple):
        listed = [_written(one, depth - 1, in_set=in_set) for one in value]
        return _tagged("tuple", listed) if in_set else listed
    if isinstance(value, dict):
        return _written_dict(value, depth)
    if isinstance(value, set | frozenset):
        listed = [_written(one, depth - 1, in_set=True) for one in value]
        # The same set gives the same text.
        return _tagged("frozenset" if isinstance(value, frozenset) else "set", sorted(listed, key=json.dumps))
    for kind, name, write in _WRITERS:
        if isinstance(value, kind):
            return _tagged(name, write(value))
    raise _UnfitError(f"{_kind(value)} is no JSON; pass on text, numbers, lists and dicts")


def _written_dict(value: Mapping[Any, Any], depth: int) -> Any:
    for name in value:
        if not isinstance(name, str):
            raise _UnfitError(
                f"the key {name!r} of a dict is {type(name).__name__}, and JSON has text only; use str({name!r})"
            )
    written = {name: _written(one, depth - 1) for name, one in value.items()}
    # A dict of the user's own that has the key of tags gets a tag itself, so that none can be forged.
    return _tagged("dict", written) if _TAG in written else written


def _tagged(kind: str, value: Any) -> dict[str, Any]:
    return {_TAG: kind, "value": value}


def _read(stored: Any) -> Any:
    if isinstance(stored, list):
        return [_read(one) for one in stored]
    if not isinstance(stored, dict):
        return stored
    if _TAG not in stored:
        return {name: _read(one) for name, one in stored.items()}
    kind, value = stored[_TAG], stored["value"]
    if kind == "dict":
        return {name: _read(one) for name, one in value.items()}
    if kind not in _READERS:
        raise ValueError(f"there is no tag {kind!r}")
    return _READERS[kind](value)


def _without_nanoseconds(value: Any) -> Any:
    # Those of pandas have them, and NaT has some that are no number.
    if getattr(value, "nanosecond", 0) > 0 or getattr(value, "nanoseconds", 0) > 0:
        raise _UnfitError(f"{value} has nanoseconds, which would be lost; round it to microseconds")
    return value


def _write_moment(value: datetime | time) -> list[Any]:
    """Return an ISO text, the fold, for which ISO has no place, and the name of the zone."""
    zone = None if value.tzinfo is None else zone_name(value.tzinfo)
    if isinstance(value, time) and value.tzinfo is not None and zone is None and value.utcoffset() is None:
        raise _UnfitError(f"the time zone of {value!r} has no name; pass on a datetime")
    fold = value.fold
    if zone not in (None, "UTC") and isinstance(value, datetime):
        # pytz says by the offset, not by the fold, which of two equal hours it is, and has offsets of its own.
        named = [value.replace(tzinfo=zone_of(zone), fold=one) for one in (fold, 1 - fold)]
        fits = [one.fold for one in named if one.utcoffset() == value.utcoffset()]
        zone, fold = (zone, fits[0]) if fits else (None, fold)
    return [value.isoformat(), fold, None if zone == "UTC" else zone]


def _read_datetime(stored: Any) -> datetime:
    text, fold, zone = stored
    found = datetime.fromisoformat(text)
    if zone is not None:
        # What the clock says counts, as it does for Python.
        found = found.replace(tzinfo=zone_of(zone))
    return found.replace(fold=fold)


def _read_time(stored: Any) -> time:
    text, fold, zone = stored
    found = time.fromisoformat(text)
    return found.replace(fold=fold) if zone is None else found.replace(fold=fold, tzinfo=zone_of(zone))


def _write_length(value: timedelta) -> list[int]:
    length = plain_length(_without_nanoseconds(value))
    return [length.days, length.seconds, length.microseconds]


#: Types beyond JSON, a subclass before its base, with their tags.
_WRITERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (datetime, "datetime", lambda value: _write_moment(plain(_without_nanoseconds(value)))),
    (date, "date", lambda value: date(value.year, value.month, value.day).isoformat()),
    (time, "time", _write_moment),
    (timedelta, "timedelta", _write_length),
    (Decimal, "decimal", str),
    (bytes, "bytes", lambda value: base64.b64encode(value).decode("ascii")),
)
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "datetime": _read_datetime,
    "date": date.fromisoformat,
    "time": _read_time,
    "timedelta": lambda stored: timedelta(*stored),
    "decimal": Decimal,
    "bytes": lambda stored: base64.b64decode(stored, validate=True),
    "tuple": lambda stored: tuple(map(_read, stored)),
    "set": lambda stored: set(map(_read, stored)),
    "frozenset": lambda stored: frozenset(map(_read, stored)),
}


def _kind(value: Any) -> str:
    return f"a value of type {type(value).__module__}.{type(value).__qualname__}"
