"""Edits of a stored run by an attacker who can seal rows, but not sign receipts."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from elastic.core.encoding import pack
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.progress_row import ProgressRow, row_mac
from elastic.persistence.run_store.receipt_codec import pack_row, unpack_row
from elastic.persistence.run_store.sqlite_store import _step_mac, receipt_mac

Edit = Callable[[sqlite3.Connection], object]


def folder_of(home: Path, run_id: str) -> Path:
    return home / "runs" / run_id


def tamper(folder: Path, edit: Edit, *, sealed: bool) -> None:
    """Edit a run's file; with `sealed`, compute all seals again."""
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        edit(connection)
        if sealed:
            _seal_again(connection, (folder / "key").read_bytes(), folder.name)


def statement(text: str, *values: object) -> Edit:
    """Return an edit that changes at least one row."""

    def edit(connection: sqlite3.Connection) -> None:
        assert connection.execute(text, values).rowcount > 0

    return edit


def both(*edits: Edit) -> Edit:
    return lambda connection: [edit(connection) for edit in edits]


def count(table: str, by: int) -> Edit:
    """Return an edit of the number of rows of a table in the progress."""
    return statement(f"UPDATE progress SET {table}={table}+?", by)


def of_row(chunk_id: int, change: Callable[[ReceiptRow], ReceiptRow]) -> Edit:
    """Return an edit of the row of receipts that contains a chunk."""

    def edit(connection: sqlite3.Connection) -> None:
        number, row = rows(connection)[_row_number(connection, chunk_id)]
        connection.execute("UPDATE receipt SET data=? WHERE rowid=?", (pack_row(change(row)), number))

    return edit


def without_row(chunk_id: int) -> Edit:
    def edit(connection: sqlite3.Connection) -> None:
        number, _ = rows(connection)[_row_number(connection, chunk_id)]
        connection.execute("DELETE FROM receipt WHERE rowid=?", (number,))

    return edit


def swap(table: str, column: str, key: str, one: int, other: int) -> Edit:
    """Return an edit that swaps a column of two rows."""

    def edit(connection: sqlite3.Connection) -> None:
        read = f"SELECT {column} FROM {table} WHERE {key}=?"
        values = [connection.execute(read, (at,)).fetchone()[0] for at in (one, other)]
        assert values[0] != values[1]
        write = f"UPDATE {table} SET {column}=? WHERE {key}=?"
        connection.executemany(write, [(-9, one), (values[0], other), (values[1], one)])

    return edit


def rows(connection: sqlite3.Connection) -> list[tuple[int, ReceiptRow]]:
    """Return the rows of receipts with their numbers, by ascending first chunk id."""
    found = connection.execute(
        "SELECT receipt.rowid, first, count, attempt, node_id, worker_id, data "
        "FROM receipt JOIN worker ON worker.id = receipt.worker ORDER BY first"
    )
    return [(number, unpack_row(*fields, (node, worker), data)) for number, *fields, node, worker, data in found]


def _row_number(connection: sqlite3.Connection, chunk_id: int) -> int:
    found = rows(connection)
    return next(n for n, (_, row) in enumerate(found) if row.first <= chunk_id < row.first + row.count)


def _seal_again(connection: sqlite3.Connection, key: bytes, run_id: str) -> None:
    def update(table: str, sealed: list[tuple[bytes, int]]) -> None:
        connection.executemany(f"UPDATE {table} SET seal=? WHERE rowid=?", sealed)

    def read(columns: str, table: str) -> list[tuple[Any, ...]]:
        return connection.execute(f"SELECT {columns} FROM {table}").fetchall()

    partials = read("rowid, step, ordinal, data", "partial")
    update("partial", [(row_mac("partial", key, run_id, (step, at), data), row) for row, step, at, data in partials])
    receipts = read(
        "receipt.rowid, step, first, count, attempt, node_id, worker_id, data",
        "receipt LEFT JOIN worker ON worker.id = receipt.worker",
    )
    update("receipt", [(receipt_mac(key, run_id, (step, first), tuple(fields), data), row)
                       for row, step, first, *fields, data in receipts])  # fmt: skip
    steps = read("rowid, step, ordinal, name, manifest, started_at", "step")
    update("step", [(_step_mac(key, run_id, (step, at), *fields), row) for row, step, at, *fields in steps])
    letters = read("rowid, step, chunk, entry, redriven, data", "letter")
    update("letter", [(row_mac("letter", key, run_id, (step, chunk), pack([entry, redriven, data])), row)
                      for row, step, chunk, entry, redriven, data in letters])  # fmt: skip
    progress = connection.execute("SELECT rowid, * FROM progress").fetchall()
    update("progress", [(ProgressRow(*columns).mac(key, run_id), row) for row, *columns, _ in progress])
