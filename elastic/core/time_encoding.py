"""Times as bytes, with their zones: by name where a zone has rules, by offset where it has none."""

import datetime as dt
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgpack

from elastic.core.errors import EncodingError

_MICROSECOND = dt.timedelta(microseconds=1)

#: The name of a zone with rules, or offset in microseconds and name of one without.
Zone = str | list[Any]


def has_plain_offset(zone: dt.tzinfo | None) -> bool:
    """Tell whether an ISO text says all of a zone: there is none, or it is an offset without a name."""
    return zone is None or zone is dt.UTC or (type(zone) is dt.timezone and len(_arguments(zone)) == 1)


def zone_offset(value: dt.datetime | dt.time) -> int | None:
    """Return how far a time is from UTC, in microseconds; None where its zone does not tell."""
    offset = value.utcoffset()
    return None if offset is None else offset // _MICROSECOND


def instant_of(value: dt.datetime | dt.time) -> int:
    """Return microseconds since the day before the year 1 began, in UTC where the zone tells how far that is."""
    since = dt.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    since -= value.utcoffset() or dt.timedelta()
    if isinstance(value, dt.datetime):
        # Not a datetime: the first and the last one have no other that is the same instant elsewhere.
        since += dt.timedelta(days=value.toordinal())
    return since // _MICROSECOND


def write_time(value: dt.datetime | dt.time) -> bytes:
    """Write an ISO text; the fold is a number behind it, because ISO has no place for it."""
    return f"{value.isoformat()}|{value.fold}".encode()


def read_datetime(data: bytes) -> dt.datetime:
    text, fold = data.decode().split("|")
    return dt.datetime.fromisoformat(text).replace(fold=int(fold))


def read_time(data: bytes) -> dt.time:
    text, fold = data.decode().split("|")
    return dt.time.fromisoformat(text).replace(fold=int(fold))


def write_zoned(value: dt.datetime | dt.time) -> bytes:
    """Write the time of the clock, its fold, its zone, and how far it was from UTC then."""
    fields = [value.replace(tzinfo=None).isoformat(), value.fold, _write_zone(value), zone_offset(value)]
    packed: bytes = msgpack.packb(fields)
    return packed


def read_zoned(kind: Any, data: bytes) -> Any:
    text, fold, zone, offset = msgpack.unpackb(data)
    value = kind.fromisoformat(text).replace(fold=fold, tzinfo=_read_zone(zone))
    if zone_offset(value) != offset:
        raise EncodingError(
            f"{value.replace(tzinfo=None)} in {value.tzinfo} was {offset} microseconds from UTC where it was written, "
            f"and is {zone_offset(value)} here; give all machines the same time zone data (the package tzdata)"
        )
    return value


def _write_zone(value: dt.datetime | dt.time) -> Zone:
    """Return the zone of a time as plain data.

    Raises:
        EncodingError: It is none that can be found again by its name; says which.
    """
    zone: Any = value.tzinfo
    if type(zone) is ZoneInfo:
        return _key_of(zone)
    if type(zone) is dt.timezone:
        offset, *name = _arguments(zone)
        return [offset // _MICROSECOND, *name]
    fixed = _fixed(zone)
    if fixed is None or fixed != value.utcoffset():
        raise EncodingError(_refusal(zone, getattr(zone, "key", None) or getattr(zone, "zone", None)))
    return [fixed // _MICROSECOND, *([name] if (name := zone.tzname(None)) else [])]


def _read_zone(zone: Any) -> dt.tzinfo:
    """Return the zone of which this is the plain data.

    Raises:
        EncodingError: This machine does not have it.
        ValueError: It is the plain data of none.
    """
    if isinstance(zone, list):
        offset, *name = zone
        return dt.timezone(dt.timedelta(microseconds=offset), *name)
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise EncodingError(
            f"this machine has no time zone {zone!r}; give all machines the same time zone data (the package tzdata)"
        ) from error


@lru_cache(maxsize=256)
def _key_of(zone: ZoneInfo) -> str:
    try:
        # One that was read from a file says here that it cannot be found by its name alone.
        zone.__reduce__()
    except Exception as error:
        raise EncodingError(_refusal(zone, zone.key)) from error
    return zone.key


def _arguments(zone: dt.timezone) -> tuple[Any, ...]:
    """Return what a zone was made of: its offset, and its name if it was given one."""
    arguments: tuple[Any, ...] = zone.__getinitargs__()  # type: ignore[attr-defined]  # it is there for pickle
    return arguments


def _fixed(zone: dt.tzinfo) -> dt.timedelta | None:
    """Return the offset of a zone that has only one; classes with rules have none without a time."""
    try:
        return zone.utcoffset(None)
    except Exception:
        return None


def _refusal(zone: dt.tzinfo, name: Any) -> str:
    kind = type(zone)
    named = f"zoneinfo.ZoneInfo({name!r})" if isinstance(name, str) else "zoneinfo.ZoneInfo(name)"
    return (
        f"a time in the zone {zone} ({kind.__module__}.{kind.__qualname__}) cannot be sent or kept, because the zone "
        f"cannot be found again by its name; use {named}, or turn it into UTC by astimezone(datetime.timezone.utc)"
    )
