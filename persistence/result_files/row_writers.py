"""Writers of rows to JSON lines, Arrow and Parquet. A row has a key and a value, or the columns of a frame."""

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.sink import OutputFile
from elastic.core.contracts.spill_store import OpenSpillFile
from elastic.core.errors import EncodingError
from elastic.core.frames import arrow_module, polars_module
from elastic.persistence.result_files.column_types import can_convert, check_keys, check_kinds

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Rows per row group, in formats that have row groups.
_GROUP_ROWS = 1 << 17

#: Maximum number of buffered rows while all values are None: a later value gives the type of the column.
_UNTYPED_ROWS = 1 << 20

#: Types of JSON without nested names.
_SCALARS = frozenset({type(None), bool, int, float, str})

_KEY, _VALUE = "key", "value"


class HashingWriter(io.RawIOBase):
    """Writable stream for a library: forwards the bytes, counts them and hashes them."""

    def __init__(self, file: OpenSpillFile) -> None:
        super().__init__()
        self._file = file
        self._hasher = hashlib.sha256()
        self._is_closed_for_writes = False
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        copied = bytes(data)
        if not self._is_closed_for_writes:
            self._file.write(copied)
            self._hasher.update(copied)
            self.size += len(copied)
        return len(copied)

    def drop(self) -> None:
        """Ignore all later writes."""
        self._is_closed_for_writes = True

    def tell(self) -> int:
        return self.size

    @property
    def sha256(self) -> str:
        return self._hasher.hexdigest()


class RowFile(ABC):
    """Writer of one file of rows, from its beginning to its end."""

    def __init__(self, file: OpenSpillFile) -> None:
        self.part = OutputFile(file.name)
        self._sink = HashingWriter(file)

    def write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Write a row for each key. Raises as `PartWriter.write` does."""
        self._write(keys, values)
        self.part.rows += len(keys)

    def write_frame(self, frame: "Frame") -> None:
        """Write the rows of a frame. Raises as `PartWriter.write_frame` does."""
        self._write_frame(frame)
        self.part.rows += frame.height

    def finish(self) -> None:
        """Write the buffered rows, and complete `part`."""
        self._finish()
        self.part.size, self.part.sha256 = self._sink.size, self._sink.sha256

    def discard(self) -> None:
        """Close the library's writer and write nothing, neither now nor when it is garbage-collected."""
        self._sink.drop()
        # The error that led here may occur again.
        with suppress(Exception):
            self._close()

    @abstractmethod
    def _write(self, keys: Sequence[Any], values: Sequence[Any]) -> None: ...

    @abstractmethod
    def _write_frame(self, frame: "Frame") -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    def _close(self) -> None:
        """Close the library's writer."""


class JsonLinesWriter(RowFile):
    """Writer of one JSON object per line, with the names `key` and `value`, or those of a frame's columns."""

    def _write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        self._write_lines(_rows(keys, values))

    def _write_frame(self, frame: "Frame") -> None:
        self._write_lines(frame.iter_rows(named=True))

    def _write_lines(self, rows: Iterable[dict[str, Any]]) -> None:
        try:
            lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
            data = "\n".join([*lines, ""]).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodingError(
                f"a row cannot be written as JSON ({error}); convert its values to strings and numbers, or write to a "
                "folder named *.parquet."
            ) from error
        self._sink.write(data)

    def _finish(self) -> None:
        """Do nothing: every line is written already."""


class ArrowRows(RowFile):
    """Writer of Arrow columns: `key` and `value`, or those of frames. The first rows give the types."""

    def __init__(self, file: OpenSpillFile) -> None:
        super().__init__(file)
        self._arrow = arrow_module()
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._frame: Frame | None = None
        self._schema: Any = None
        self._writer: Any = None

    @abstractmethod
    def _open(self, schema: Any) -> Any:
        """Return a writer of record batches to the sink."""

    def _write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        self._keys += keys
        self._values += values
        is_typed = self._schema is not None or any(value is not None for value in self._values)
        if len(self._keys) >= (_GROUP_ROWS if is_typed else _UNTYPED_ROWS):
            self._flush()

    def _write_frame(self, frame: "Frame") -> None:
        pl = polars_module()
        # Frames of one result differ only in columns of nulls and in the width of sums.
        self._frame = frame if self._frame is None else pl.concat([self._frame, frame], how="vertical_relaxed")
        is_typed = self._schema is not None or pl.Null not in self._frame.dtypes
        if self._frame.height >= (_GROUP_ROWS if is_typed else _UNTYPED_ROWS):
            self._flush()

    def _finish(self) -> None:
        if self._keys or self._frame is not None:
            self._flush()
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        """Write the buffered rows."""
        try:
            table = self._table() if self._frame is None else self._table_of(self._frame)
            if self._schema is None:
                self._writer, self._schema = self._open(table.schema), table.schema
                self.part.columns = ", ".join(f"{field.name}: {field.type}" for field in table.schema)
            self._writer.write_table(table)
        except (self._arrow.ArrowException, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodingError(
                f"the rows do not fit into columns ({error}); give each column one type, "
                "or write to a folder named *.jsonl."
            ) from error
        self._keys, self._values, self._frame = [], [], None

    def _table(self) -> Any:
        columns = [self._array(_KEY, self._keys), self._array(_VALUE, self._values)]
        return self._arrow.table(columns, [_KEY, _VALUE])

    def _table_of(self, frame: "Frame") -> Any:
        pl = polars_module()
        for name, kind in frame.schema.items():
            if kind in (pl.Int128, pl.UInt128):
                raise TypeError(f"integers of more than 64 bits in the column {name}")
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._schema is None:
            return table
        for field, wanted in zip(table.schema, self._schema, strict=True):
            self._check_fits(field.name, field.type, wanted.type)
        return table.cast(self._schema)

    def _array(self, name: str, column: list[Any]) -> Any:
        """Return the values of one row group, with the type of the column in the file."""
        array = self._arrow.array(column)
        check_kinds(column)
        if self._schema is None or array.type.equals(self._schema.field(name).type):
            return array
        wanted = self._schema.field(name).type
        self._check_fits(name, array.type, wanted)
        return self._arrow.array(column, wanted)

    def _check_fits(self, name: str, kind: Any, wanted: Any) -> None:
        if not can_convert(self._arrow.types, kind, wanted):
            raise TypeError(f"{kind} after {wanted} in the column {name}")


class Parquet(ArrowRows):
    """Writer of a Parquet file with Zstandard compression."""

    def _open(self, schema: Any) -> Any:
        from pyarrow import parquet

        return parquet.ParquetWriter(self._sink, schema, compression="zstd")


class ArrowFile(ArrowRows):
    """Writer of an uncompressed Arrow IPC file."""

    def _open(self, schema: Any) -> Any:
        return self._arrow.ipc.new_file(self._sink, schema)


def _rows(keys: Sequence[Any], values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    _check_names(values)
    for key, value in zip(keys, values, strict=True):
        yield {_KEY: key, _VALUE: value}


def _check_names(values: Collection[Any]) -> None:
    """Raise TypeError for a dict with keys that JSON would convert to strings: two keys could become one."""
    if set(map(type, values)) <= _SCALARS:
        return
    for value in values:
        if isinstance(value, dict):
            check_keys(value)
            _check_names(value.values())
        elif isinstance(value, list | tuple):
            _check_names(value)


#: Writer by the suffix of the file name.
FORMATS: dict[str, Callable[[OpenSpillFile], RowFile]] = {
    ".jsonl": JsonLinesWriter,
    ".parquet": Parquet,
    ".arrow": ArrowFile,
}
