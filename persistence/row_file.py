"""Files of rows with a key and a value: JSON lines, Arrow and Parquet."""

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from elastic.core.depot import Growing
from elastic.core.errors import EncodingError
from elastic.core.frame import arrow_module
from elastic.core.output import Part

#: Rows that are written at once where the format has groups of rows.
_GROUP_ROWS = 1 << 17

_KEY, _VALUE = "key", "value"


class Sink(io.RawIOBase):
    """What a library writes to: passes bytes on, and knows how many there were and their digest."""

    def __init__(self, file: Growing) -> None:
        super().__init__()
        self._file = file
        self._sum = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(data)
        self._file.write(taken)
        self._sum.update(taken)
        self.size += len(taken)
        return len(taken)

    def tell(self) -> int:
        return self.size

    @property
    def sha256(self) -> str:
        return self._sum.hexdigest()


class RowFile(ABC):
    """A file that is written row by row, from its beginning to its end."""

    def __init__(self, file: Growing) -> None:
        self.part = Part(file.name)
        self._sink = Sink(file)

    def write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Write a row for each key. Raises as `PartWriter.write` does."""
        self._write(keys, values)
        self.part.rows += len(keys)

    def finish(self) -> None:
        """Write what is left to write; then `part` is complete."""
        self._finish()
        self.part.size, self.part.sha256 = self._sink.size, self._sink.sha256

    @abstractmethod
    def _write(self, keys: Sequence[Any], values: Sequence[Any]) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...


class JsonLines(RowFile):
    """A JSON object a line, with the names `key` and `value`."""

    def _write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        try:
            lines = [
                json.dumps({_KEY: key, _VALUE: value}, ensure_ascii=False, allow_nan=False)
                for key, value in zip(keys, values, strict=True)
            ]
            data = "\n".join([*lines, ""]).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodingError(
                f"a row cannot be written as JSON ({error}); map keys and values to texts and numbers, or write to a "
                "folder named *.parquet."
            ) from error
        self._sink.write(data)

    def _finish(self) -> None:
        """Every line is written already."""


class Columns(RowFile):
    """Two columns of Arrow, `key` and `value`, whose types are those of the first rows."""

    def __init__(self, file: Growing) -> None:
        super().__init__(file)
        self._arrow = arrow_module()
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._writer: Any = None

    @abstractmethod
    def _open(self, schema: Any) -> Any:
        """Return what writes record batches to the sink."""

    def _write(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        self._keys += keys
        self._values += values
        if len(self._keys) >= _GROUP_ROWS:
            self._flush()

    def _finish(self) -> None:
        if self._keys:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        arrow, schema = self._arrow, None if self._writer is None else self._writer.schema
        try:
            columns = [self._keys, self._values]
            types = [None, None] if schema is None else schema.types
            arrays = [arrow.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise EncodingError(
                f"the rows do not fit into two columns ({error}); map keys and values to one type each, or write to a "
                "folder named *.jsonl."
            ) from error
        table = arrow.table(arrays, names=[_KEY, _VALUE])
        if self._writer is None:
            self._writer = self._open(table.schema)
            self.part.columns = ", ".join(f"{field.name}: {field.type}" for field in table.schema)
        self._writer.write_table(table)
        self._keys, self._values = [], []


class Parquet(Columns):
    """A Parquet file, compressed by zstandard."""

    def _open(self, schema: Any) -> Any:
        from pyarrow import parquet

        return parquet.ParquetWriter(self._sink, schema, compression="zstd")


class ArrowFile(Columns):
    """An Arrow IPC file, as it lies in memory."""

    def _open(self, schema: Any) -> Any:
        return _WithSchema(self._arrow.ipc.new_file(self._sink, schema), schema)


class _WithSchema:
    """The writer of Arrow, and the schema that it was made for."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self.schema, self.write_table, self.close = schema, writer.write_table, writer.close


#: How files are written, by the last part of their names.
FORMATS: dict[str, Callable[[Growing], RowFile]] = {".jsonl": JsonLines, ".parquet": Parquet, ".arrow": ArrowFile}
