"""XComs: small JSON values that tasks pass to later tasks of their run."""

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

#: Key of the return value of a task.
RETURN_VALUE = "return_value"

#: Maximum size of a value, in bytes of its JSON in UTF-8. It is stored in a row; large data belongs in files.
MAX_BYTES = 48 * 1024

#: Key of an object that encodes a value of a type that JSON does not have.
_TAG = "$xcom"

#: Maximum nesting depth of lists and dicts.
_MAX_DEPTH = 100


class XComStore(Protocol):
    """Store of encoded values."""

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        """Store a value; it replaces an earlier one."""

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        """Return the values of a task by map index (-1 for a task that is not mapped)."""


class InMemoryXCom:
    """Store in this process, for tests of DAGs and for runs that are not stored."""

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
    """Store of a task instance that a user created: it has no run, so every access is an error."""

    def push(self, key: TaskKey, name: str, encoded: str) -> None:
        raise XComError(key.task_id, name, "this task instance is not part of a run. Use the `ti` of the context")

    def pull(self, dag_id: str, run_id: str, task_id: str, name: str) -> Mapping[int, str]:
        raise XComError(task_id, name, "this task instance is not part of a run. Use the `ti` of the context")


def encode_xcom(value: Any, *, task_id: str, key: str = RETURN_VALUE) -> str:
    """Return a value as JSON.

    None, booleans, numbers, strings, lists and dicts with string keys are decoded unchanged. So are dates, datetimes
    with their time zones, times, durations, Decimal, bytes, sets and frozensets, which are encoded as tagged objects
    (`{"$xcom": "date", "value": "2016-02-22"}`). A tuple is decoded as a list, within a set as a tuple.

    Raises:
        XComError: The value has another type, is not finite, is nested too deeply, or is larger than 48 KiB.
    """
    try:
        encoded = _encode(value, _MAX_DEPTH)
        text = json_text(json.dumps(encoded, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        size = len(text.encode("utf-8"))
    except _NotEncodableError as reason:
        raise XComError(task_id, key, str(reason)) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise XComError(task_id, key, f"it cannot be encoded as JSON ({error})") from error
    if size > MAX_BYTES:
        raise XComError(
            task_id, key, f"it has {size:,} bytes of at most {MAX_BYTES:,}. Write it to a file and pass the path"
        )
    return text


def decode_xcom(text: str, *, task_id: str, key: str = RETURN_VALUE) -> Any:
    """Return the value of encoded JSON.

    Raises:
        XComError: The string is not JSON, or contains an unknown tag.
    """
    try:
        return _decode(json.loads(text))
    except (
        ValueError,
        RecursionError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        ScheduleError,
    ) as error:
        raise XComError(task_id, key, f"the stored value is not valid JSON ({error})") from error


class _NotEncodableError(Exception):
    """A value cannot be encoded; the message is the reason."""


def _encode(value: Any, depth: int, *, in_set: bool = False) -> Any:
    """Return the JSON form of a value; reject values that JSON would silently change."""
    if depth == 0:
        raise _NotEncodableError(f"lists and dicts are nested more than {_MAX_DEPTH} levels deep")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NotEncodableError(f"JSON has no {value}. Pass None instead")
        return value
    if isinstance(value, list | tuple):
        listed = [_encode(one, depth - 1, in_set=in_set) for one in value]
        return _tagged("tuple", listed) if in_set else listed
    if isinstance(value, dict):
        return _encode_dict(value, depth)
    if isinstance(value, set | frozenset):
        listed = [_encode(one, depth - 1, in_set=True) for one in value]
        # Equal sets must have equal JSON.
        return _tagged("frozenset" if isinstance(value, frozenset) else "set", sorted(listed, key=json.dumps))
    for kind, name, encode in _ENCODERS:
        if isinstance(value, kind):
            return _tagged(name, encode(value))
    raise _NotEncodableError(f"{_type_name(value)} has no JSON form. Pass strings, numbers, lists and dicts")


def _encode_dict(value: Mapping[Any, Any], depth: int) -> Any:
    for name in value:
        if not isinstance(name, str):
            raise _NotEncodableError(f"dict key {name!r} must be str, got {type(name).__name__}. Use str({name!r})")
    encoded = {name: _encode(one, depth - 1) for name, one in value.items()}
    # A user dict with the tag key gets a tag itself, so that it cannot forge a tagged value.
    return _tagged("dict", encoded) if _TAG in encoded else encoded


def _tagged(kind: str, value: Any) -> dict[str, Any]:
    return {_TAG: kind, "value": value}


def _decode(stored: Any) -> Any:
    if isinstance(stored, list):
        return [_decode(one) for one in stored]
    if not isinstance(stored, dict):
        return stored
    if _TAG not in stored:
        return {name: _decode(one) for name, one in stored.items()}
    kind, value = stored[_TAG], stored["value"]
    if kind == "dict":
        return {name: _decode(one) for name, one in value.items()}
    if kind not in _DECODERS:
        raise ValueError(f"unknown tag {kind!r}")
    return _DECODERS[kind](value)


def _without_nanoseconds(value: Any) -> Any:
    # pandas types have nanoseconds; those of NaT are not a number.
    if getattr(value, "nanosecond", 0) > 0 or getattr(value, "nanoseconds", 0) > 0:
        raise _NotEncodableError(f"{value} has nanoseconds, which would be lost. Round it to microseconds")
    return value


def _encode_moment(value: datetime | time) -> list[Any]:
    """Return the ISO string, the fold (which ISO cannot express), and the name of the time zone."""
    zone = None if value.tzinfo is None else zone_name(value.tzinfo)
    if isinstance(value, time) and value.tzinfo is not None and zone is None and value.utcoffset() is None:
        raise _NotEncodableError(f"the time zone of {value!r} has no name. Pass a datetime")
    fold = value.fold
    if zone not in (None, "UTC") and isinstance(value, datetime):
        # pytz marks the repeated hour by its offset instead of the fold, and has offsets of its own.
        named = [value.replace(tzinfo=zone_of(zone), fold=one) for one in (fold, 1 - fold)]
        fits = [one.fold for one in named if one.utcoffset() == value.utcoffset()]
        zone, fold = (zone, fits[0]) if fits else (None, fold)
    return [value.isoformat(), fold, None if zone == "UTC" else zone]


def _decode_datetime(stored: Any) -> datetime:
    text, fold, zone = stored
    found = datetime.fromisoformat(text)
    if zone is not None:
        # The wall-clock time is authoritative, as in Python.
        found = found.replace(tzinfo=zone_of(zone))
    return found.replace(fold=fold)


def _decode_time(stored: Any) -> time:
    text, fold, zone = stored
    found = time.fromisoformat(text)
    return found.replace(fold=fold) if zone is None else found.replace(fold=fold, tzinfo=zone_of(zone))


def _encode_duration(value: timedelta) -> list[int]:
    length = plain_length(_without_nanoseconds(value))
    return [length.days, length.seconds, length.microseconds]


#: Types beyond JSON with their tags, each subclass before its base.
_ENCODERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (datetime, "datetime", lambda value: _encode_moment(plain(_without_nanoseconds(value)))),
    (date, "date", lambda value: date(value.year, value.month, value.day).isoformat()),
    (time, "time", _encode_moment),
    (timedelta, "timedelta", _encode_duration),
    (Decimal, "decimal", str),
    (bytes, "bytes", lambda value: base64.b64encode(value).decode("ascii")),
)
_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "datetime": _decode_datetime,
    "date": date.fromisoformat,
    "time": _decode_time,
    "timedelta": lambda stored: timedelta(*stored),
    "decimal": Decimal,
    "bytes": lambda stored: base64.b64decode(stored, validate=True),
    "tuple": lambda stored: tuple(map(_decode, stored)),
    "set": lambda stored: set(map(_decode, stored)),
    "frozenset": lambda stored: frozenset(map(_decode, stored)),
}


def _type_name(value: Any) -> str:
    return f"a value of type {type(value).__module__}.{type(value).__qualname__}"
