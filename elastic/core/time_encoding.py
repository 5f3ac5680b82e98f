"""Encoding of times with their zones: by name if a zone has rules, by offset if it has none."""

import datetime as dt
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgpack

from elastic.core.errors import EncodingError

_MICROSECOND = dt.timedelta(microseconds=1)

#: Name of a zone with rules; or offset in microseconds, and perhaps a name, of a zone without.
Zone = str | list[Any]


def has_plain_offset(zone: dt.tzinfo | None) -> bool:
    """Return whether an ISO string describes a zone in full: there is no zone, or it is an offset without a name."""
    return zone is None or zone is dt.UTC or (type(zone) is dt.timezone and len(_arguments(zone)) == 1)


def zone_offset(value: dt.datetime | dt.time) -> int | None:
    """Return the offset of a time from UTC in microseconds, or None if its zone has none."""
    offset = value.utcoffset()
    return None if offset is None else offset // _MICROSECOND


def instant_of(value: dt.datetime | dt.time) -> int:
    """Return microseconds since the day before the year 1; in UTC if the zone has an offset."""
    since = dt.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    since -= value.utcoffset() or dt.timedelta()
    if isinstance(value, dt.datetime):
        # An integer, because the first and the last datetime cannot be converted to other zones.
        since += dt.timedelta(days=value.toordinal())
    return since // _MICROSECOND


def write_time(value: dt.datetime | dt.time) -> bytes:
    """Write an ISO string, followed by the fold, because ISO has no place for it."""
    return f"{value.isoformat()}|{value.fold}".encode()


def read_datetime(data: bytes) -> dt.datetime:
    text, fold = data.decode().split("|")
    return dt.datetime.fromisoformat(text).replace(fold=int(fold))


def read_time(data: bytes) -> dt.time:
    text, fold = data.decode().split("|")
    return dt.time.fromisoformat(text).replace(fold=int(fold))


def write_zoned(value: dt.datetime | dt.time) -> bytes:
    """Write the wall-clock time, its fold, its zone, and its offset from UTC."""
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
        EncodingError: The zone cannot be found again by its name.
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
    """Return the zone from its plain data.

    Raises:
        EncodingError: This machine does not have the zone.
        ValueError: The data does not describe a zone.
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
        # Raises for a zone that was read from a file, because its name alone does not find it.
        zone.__reduce__()
    except Exception as error:
        raise EncodingError(_refusal(zone, zone.key)) from error
    return zone.key


def _arguments(zone: dt.timezone) -> tuple[Any, ...]:
    """Return the constructor arguments of a zone: its offset, and its name if it has one."""
    arguments: tuple[Any, ...] = zone.__getinitargs__()  # type: ignore[attr-defined]  # it is there for pickle
    return arguments


def _fixed(zone: dt.tzinfo) -> dt.timedelta | None:
    """Return the offset of a zone without rules; a zone with rules has no offset without a time."""
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
