"""Macros: functions for templates, as `macros.<name>`."""

import random as _random
import time as _time
import uuid as _uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from elastic.dag.execution.coroutines import resolve_result
from elastic.dag.templating.read_only import ReadOnlyView
from elastic.dag.timetable.interval import LogicalDate


def ds_add(ds: str, days: int) -> str:
    """Return a date `YYYY-MM-DD` shifted by a number of days, which may be negative."""
    return (date.fromisoformat(ds) + timedelta(days=days)).isoformat()


def ds_format(ds: str, input_format: str, output_format: str) -> str:
    """Convert a date from one strftime format to another."""
    return datetime.strptime(ds, input_format).strftime(output_format)  # noqa: DTZ007 - only formatted


def days_between(earlier: date | str, later: date | str) -> int:
    """Return the number of days from one date to another."""
    return (_day(later) - _day(earlier)).days


def date_range(start: date | str, end: date | str, step: int = 1) -> list[str]:
    """Return the dates `YYYY-MM-DD` from `start` to `end`, both included, every `step` days (at most 10,000)."""
    first, last = _day(start), _day(end)
    count = min((last - first).days // step + 1 if step > 0 else 0, 10_000)
    return [(first + timedelta(days=step * number)).isoformat() for number in range(count)]


def first_of_month(day: date | str) -> str:
    """Return the first day of the month of a date."""
    return _day(day).replace(day=1).isoformat()


def last_of_month(day: date | str) -> str:
    """Return the last day of the month of a date."""
    first = _day(day).replace(day=1)
    return ((first + timedelta(days=31)).replace(day=1) - timedelta(days=1)).isoformat()


def _day(value: date | str) -> date:
    if isinstance(value, str):
        return datetime.fromisoformat(value).date()
    return date(value.year, value.month, value.day)


def _now() -> datetime:
    return LogicalDate.of(datetime.now(UTC))


def _random_number() -> float:
    """Return a random number from 0 to 1."""
    return _random.random()  # noqa: S311 - not for secrets


class _Datetime(ReadOnlyView):
    """Instants: `macros.datetime(2016, 2, 22)`, `macros.datetime.now()`."""

    __slots__ = ()

    def __call__(self, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
        return datetime.combine(date(year, month, day), time(hour, minute))


_DATES: Mapping[str, Any] = {
    "add": ds_add,
    "format": ds_format,
    "days_between": days_between,
    "range": date_range,
    "first_of_month": first_of_month,
    "last_of_month": last_of_month,
}

_UUID: Mapping[str, Any] = {
    "uuid4": lambda: str(_uuid.uuid4()),
    "uuid5": lambda namespace, name: str(_uuid.uuid5(getattr(_uuid, f"NAMESPACE_{namespace.upper()}"), name)),
}

BUILT_IN: Mapping[str, Any] = {
    "random": _random_number,
    "datetime": _Datetime(
        "macros.datetime",
        {
            "now": _now,
            "fromisoformat": datetime.fromisoformat,
            "strptime": datetime.strptime,
            "combine": datetime.combine,
        },
    ),
    "timedelta": lambda *arguments, **named: timedelta(*arguments, **named),
    "date": lambda *arguments, **named: date(*arguments, **named),
    "time": _time.time,
    "dates": ReadOnlyView("macros.dates", _DATES),
    "uuid": ReadOnlyView("macros.uuid", _UUID),
    "ds_add": ds_add,
    "ds_format": ds_format,
}


def macros_with(own: Mapping[str, Any] | None = None) -> ReadOnlyView:
    """Return the macros of a DAG: the built-in ones, overridden by its own."""
    return _Macros("macros", {**BUILT_IN, **{name: _function(value) for name, value in (own or {}).items()}})


class _Macros(ReadOnlyView):
    """Macros of a DAG, and those of plug-ins, which are looked up only for names that the DAG does not have."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        if name in self:
            return super().__getitem__(name)
        from elastic.plugins.plugin import find

        found = find("elastic.macros", name)
        if found is None:
            raise KeyError(name)
        return ReadOnlyView("macros", {name: _function(found)})[name]


def macro(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a user function for templates: a coroutine is run to its end, a generator becomes a list."""
    return lambda *arguments, **named: resolve_result(function(*arguments, **named), function, read_lazy=True)


def _function(value: Any) -> Any:
    """Return a callable as a function, because views give access to functions only."""
    if not callable(value) or isinstance(value, ReadOnlyView):
        return value
    return macro(value)
