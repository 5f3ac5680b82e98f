"""Rows of a write on a worker: the buffer of fitting rows, and their way to the database."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.record_sink import RecordBuffer, RecordOutput, RecordWriter, SinkOwner
from elastic.core.errors import StoreError
from elastic.core.frames import frame_records, is_frame
from elastic.core.model.written import WrittenFile
from elastic.persistence.written_tables.commit_table import check_claim
from elastic.persistence.written_tables.sql_target import SqlTarget
from elastic.persistence.written_tables.table_layout import TableLayout

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Column of a staging table: the attempt that wrote the row.
ATTEMPT = "elastic_attempt"

#: Rows of a statement, and estimated bytes at which it ends earlier.
_MAX_ROWS, _MAX_BYTES = 1000, 1 << 20

#: Estimated bytes of memory for a value, without its content.
_VALUE_BYTES = 40

#: Names of columns.
Columns = tuple[str, ...]


class RowWriter(RecordWriter):
    """Writer of rows to the staging table of a step, or by upserts to the table itself.

    Args:
        target: The table.
        owner: The step.
        staging: Name of the staging table; empty for upserts.
    """

    uniform = False

    def __init__(self, target: SqlTarget, owner: SinkOwner, staging: str) -> None:
        self.target, self.owner, self.staging = target, owner, staging
        #: Set by the master before workers get the writer.
        self.layout = TableLayout(target.shown_table, {})

    def buffer(self) -> "RowBuffer":
        return RowBuffer(self.layout)

    def output(self) -> "RowOutput":
        return RowOutput(self)

    def __repr__(self) -> str:
        return f"write_sql({self.target.shown_table!r})"


class RowBuffer(RecordBuffer):
    """Rows that fit a table, grouped by their columns."""

    def __init__(self, layout: TableLayout) -> None:
        self._layout = layout
        self._rows: dict[Columns, list[tuple[Any, ...]]] = {}
        self.size = 0
        self.chunks = []

    @property
    def is_empty(self) -> bool:
        return not self._rows

    def like(self) -> "RowBuffer":
        return RowBuffer(self._layout)

    def add_many(self, records: Sequence[Any]) -> None:
        rows = [self._layout.row(record) for record in _flat(records)]
        for columns, row in rows:
            self._rows.setdefault(columns, []).append(row)
        self.size += sum(_size(row) for _, row in rows)

    def join(self, other: RecordBuffer) -> None:
        if not isinstance(other, RowBuffer):
            raise TypeError(f"expected a buffer of rows, got {other!r}")
        self.chunks += other.chunks
        self.size += other.size
        other.chunks = []
        for columns, rows in other.take().items():
            self._rows.setdefault(columns, []).extend(rows)

    def take(self) -> Mapping[Columns, list[tuple[Any, ...]]]:
        """Return all rows by their columns, and empty the buffer."""
        rows, self._rows, self.size = self._rows, {}, 0
        return rows


@dataclass(frozen=True, slots=True)
class RowOutput(RecordOutput):
    """Writer of buffers, each in one transaction; nothing stays open between two of them."""

    writer: RowWriter

    def write(self, buffer: RecordBuffer) -> list[WrittenFile]:
        if not isinstance(buffer, RowBuffer):
            raise TypeError(f"expected a buffer of rows, got {buffer!r}")
        chunks, taken, writer = tuple(buffer.chunks), buffer.take(), self.writer
        parts = {columns: secrets.token_hex(12) for columns in taken}

        def work(connection: "Connection") -> None:
            check_claim(connection, writer.target, writer.owner)
            for columns, rows in taken.items():
                if writer.staging:
                    _insert(connection, writer, columns, rows, parts[columns])
                else:
                    _upsert(connection, writer, columns, rows)

        writer.target.retried(work)
        return [_part(parts[columns], columns, rows, chunks) for columns, rows in taken.items()]

    def close(self) -> list[WrittenFile]:
        return []


def _part(name: str, columns: Columns, rows: list[tuple[Any, ...]], chunks: tuple[tuple[int, int], ...]) -> WrittenFile:
    return WrittenFile(name, len(rows), sum(map(_size, rows)), "", json.dumps(columns), chunks)


def _insert(connection: "Connection", writer: RowWriter, columns: Columns, rows: list[Any], attempt: str) -> None:
    target = writer.target
    names = (*columns, ATTEMPT)
    statement = f"INSERT INTO {target.quoted_table(writer.staging)} ({target.quoted_list(names)}) VALUES "  # noqa: S608
    _send(connection, target, (statement, ""), [(*row, attempt) for row in rows])


def _upsert(connection: "Connection", writer: RowWriter, columns: Columns, rows: list[Any]) -> None:
    target, key = writer.target, writer.layout.key
    places = [columns.index(name) for name in key]
    # In one order on all workers, so that two transactions do not wait for each other. Of rows with one key, the last
    # one stays the last.
    ordered = sorted(rows, key=lambda row: repr([row[place] for place in places]))
    statement = f"INSERT INTO {target.quoted_table(target.table)} ({target.quoted_list(columns)}) VALUES "  # noqa: S608
    _send(connection, target, (statement, _conflict(target, columns, key)), ordered)


def _conflict(target: SqlTarget, columns: Columns, key: Columns) -> str:
    quoted = target.quoted
    changed = [name for name in columns if name not in key]
    if target.database == "mysql":
        # MariaDB knows only this form. A key set to itself changes nothing.
        values = ", ".join(f"{quoted(name)} = VALUES({quoted(name)})" for name in changed or key[:1])
        return f" ON DUPLICATE KEY UPDATE {values}"
    values = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in changed)
    return f" ON CONFLICT ({target.quoted_list(key)}) DO " + (f"UPDATE SET {values}" if changed else "NOTHING")


def _send(connection: "Connection", target: SqlTarget, statement: tuple[str, str], rows: list[Any]) -> None:
    """Insert rows by statements of limited size."""
    before, after = statement
    for batch in _batches(rows):
        row = f"({', '.join(chr(0) for _ in batch[0])})"
        if target.database == "mysql":
            # Its driver sends one statement for each row, or splits this text by a pattern that names can confuse.
            text = target.with_marks(connection, f"{before}{', '.join([row] * len(batch))}{after}")
            connection.exec_driver_sql(text, tuple(value for each in batch for value in each))
        else:
            connection.exec_driver_sql(target.with_marks(connection, f"{before}{row}{after}"), batch)


def _batches(rows: list[Any]) -> Iterator[list[Any]]:
    batch, size = [], 0
    for row in rows:
        batch.append(row)
        size += _size(row)
        if len(batch) == _MAX_ROWS or size >= _MAX_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(row: tuple[Any, ...]) -> int:
    """Return the estimated bytes of a row."""
    return sum(_VALUE_BYTES + (len(value) if isinstance(value, str | bytes) else 8) for value in row)


def _flat(records: Sequence[Any]) -> Iterator[Any]:
    for record in records:
        if is_frame(record):
            yield from frame_records(record)
        else:
            yield record


def columns_of(part: WrittenFile) -> Columns:
    """Return the columns of a part.

    Raises:
        StoreError: The part is damaged.
    """
    try:
        return tuple(map(str, json.loads(part.columns)))
    except ValueError as error:
        raise StoreError(f"part {part.name} names no columns; start a new run.") from error
