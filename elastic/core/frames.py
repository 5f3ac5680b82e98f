"""Frames: a chunk as a table. Polars is imported only if a flow uses frames, pyarrow only if it asks for tables."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import xxhash

from elastic.core.errors import EncodingError, UsageError
from elastic.core.optional import require

if TYPE_CHECKING:
    import polars

    Frame = polars.DataFrame

#: Name of the column for entries that are not mappings.
ENTRY = "entry"

#: Day 0 of frames, 1970-01-01, as an ordinal of Python.
_EPOCH = dt.date(1970, 1, 1).toordinal()

#: First bytes of a packed frame; a checksum of 16 bytes and the stream follow.
_MAGIC = b"EFRAME1\n"
_START = len(_MAGIC) + 16


def polars_module() -> Any:
    """Return Polars.

    Raises:
        UsageError: It is not installed; names the extra.
    """
    return require("polars", extra="polars", user="a function of frames")


def arrow_module() -> Any:
    """Return pyarrow. Raises as `polars_module` does."""
    return require("pyarrow", extra="arrow", user="a function of Arrow tables")


def is_frame(value: Any) -> bool:
    """Return whether a value is a Polars frame, without importing Polars."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(value, polars.DataFrame)


def frame_records(frame: "Frame") -> list[dict[str, Any]]:
    """Return the rows of a frame as dicts of Python values.

    Raises:
        EncodingError: A time has nanoseconds, which Python's times do not have, or is not in the years 1 to 9999; names
            the column.
    """
    for name, kind in frame.schema.items():
        micro = _of_microseconds(kind)
        column = frame.get_column(name)
        if micro != kind and not column.cast(micro).cast(kind).equals(column):
            raise EncodingError(
                f"the column {name!r} of type {kind} has nanoseconds, which Python's times do not have; cast it"
            )
        if not _is_in_python_years(column):
            raise EncodingError(
                f"the column {name!r} of type {kind} has a time that is not in the years 1 to 9999, which Python's "
                "times have; filter it out, or drop the column"
            )
    return list(frame.iter_rows(named=True))


def _is_in_python_years(column: "polars.Series") -> bool:
    pl, kind = polars_module(), column.dtype
    if kind != pl.Date and not isinstance(kind, pl.Datetime):
        return True
    per_day = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
    days = column.to_physical() // (per_day[kind.time_unit] if isinstance(kind, pl.Datetime) else 1)
    # A day less at both ends, because a zone moves a time by up to a day.
    margin = int(getattr(kind, "time_zone", None) is not None)
    first, last = (day.toordinal() - _EPOCH for day in (dt.date.min, dt.date.max))
    return bool(days.is_between(first + margin, last - margin).all())


def _of_microseconds(kind: Any) -> Any:
    """Return a type of Polars with microseconds in place of nanoseconds, also inside lists and structs."""
    pl = polars_module()
    if isinstance(kind, pl.Datetime) and kind.time_unit == "ns":
        return pl.Datetime("us", kind.time_zone)
    if isinstance(kind, pl.Duration) and kind.time_unit == "ns":
        return pl.Duration("us")
    if isinstance(kind, pl.List):
        return pl.List(_of_microseconds(kind.inner))
    if isinstance(kind, pl.Array):
        return pl.Array(_of_microseconds(kind.inner), kind.shape[0]) if len(kind.shape) == 1 else kind
    if isinstance(kind, pl.Struct):
        return pl.Struct([pl.Field(field.name, _of_microseconds(field.dtype)) for field in kind.fields])
    return kind


def frame_of(value: Any) -> "Frame":
    """Return the result of a function of frames as a Polars frame.

    Accepts a frame, a lazy frame or a series of Polars, and every table or batch with the Arrow stream interface.

    Raises:
        UsageError: The result is not a table.
    """
    pl = polars_module()
    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    elif isinstance(value, pl.Series):
        value = value.to_frame(value.name or ENTRY)
    elif hasattr(value, "__arrow_c_stream__") and not isinstance(value, pl.DataFrame):
        check_decimals(getattr(value, "schema", ()))
        value = pl.DataFrame(value)
    if not isinstance(value, pl.DataFrame):
        raise UsageError(
            f"expected a frame, got {type(value).__module__}.{type(value).__qualname__}; "
            "return a Polars frame or an Arrow table, or put map_frames before an aggregator of frames"
        )
    frame: Frame = value
    return frame


def check_decimals(schema: Any) -> None:
    """Refuse a table with a column of decimals that frames cannot hold.

    Args:
        schema: Schema of Arrow; of another library's table, whatever its `schema` is.

    Raises:
        UsageError: Names the column.
    """
    for field in schema:
        kind = getattr(field, "type", None)
        if str(kind).startswith("decimal256"):
            raise UsageError(
                f"the column {field.name!r} is {kind}, but frames hold decimals of at most 38 digits; cast it"
            )


def frame_of_entries(entries: Sequence[Any]) -> "Frame":
    """Return entries as a frame: mappings become columns by key, all others the column `entry`.

    The types of the columns come from all entries and are strict: no value is converted to fit.

    Raises:
        UsageError: Values of a column are of different types.
    """
    pl = polars_module()
    if entries and isinstance(entries[0], Mapping):
        names = dict.fromkeys(name for entry in entries for name in entry)
        columns: dict[Any, Sequence[Any]] = {name: [entry.get(name) for entry in entries] for name in names}
    else:
        columns = {ENTRY: entries}
    try:
        frame: Frame = pl.DataFrame([pl.Series(name, values, strict=True) for name, values in columns.items()])
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"a chunk's entries cannot become a frame ({reason}); map them to one type first") from error
    return frame


def pack_frame(frame: "Frame") -> bytes:
    """Return a frame as bytes: a checksum, and an Arrow IPC stream.

    The checksum finds damage first, because the stream's reader does not withstand damaged bytes.
    Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format.
    """
    pl, stream = polars_module(), BytesIO()
    stream.write(_MAGIC.ljust(_START))
    frame.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    with stream.getbuffer() as data:
        data[len(_MAGIC) : _START] = xxhash.xxh3_128_digest(data[_START:])
    return stream.getvalue()  # which is not a copy


def is_packed_frame(data: bytes) -> bool:
    """Return whether bytes begin like those of `pack_frame`, without importing Polars."""
    return data.startswith(_MAGIC)


def unpack_frame(data: bytes | memoryview) -> "Frame":
    """Return the frame that `pack_frame` was given.

    Raises:
        EncodingError: The bytes are damaged, or not made by `pack_frame`.
    """
    pl = polars_module()
    view = memoryview(data)
    if view[: len(_MAGIC)] != _MAGIC or view[len(_MAGIC) : _START] != xxhash.xxh3_128_digest(view[_START:]):
        raise EncodingError("these bytes are not a frame, or were changed; was it saved by another aggregator?")
    try:
        frame: Frame = pl.read_ipc_stream(BytesIO(view[_START:]))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise EncodingError(f"these bytes are not a frame ({error})") from error
    return frame


def sorted_rows(frame: "Frame") -> "Frame":
    """Return a frame whose rows are in an order that depends only on their values."""
    return frame.sort(frame.columns, nulls_last=True) if frame.width else frame
