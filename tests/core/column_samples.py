"""Helpers for values that hold `ChunkColumns`."""

from dataclasses import fields, replace
from typing import Any, TypeVar

from elastic.core.model.chunk import UNREAD, Batch
from elastic.core.model.chunk_columns import ChunkColumns

ValueT = TypeVar("ValueT")

_COLUMNS = {field.name for field in fields(ChunkColumns)}


def with_changes(value: ValueT, **changes: Any) -> ValueT:
    """Return a copy of a row or a report with other fields, among them those of its columns."""
    of_columns = {name: changes.pop(name) for name in _COLUMNS & set(changes)}
    columns = replace(value.columns, **of_columns)  # type: ignore[attr-defined]
    return replace(value, columns=columns, **changes)  # type: ignore[type-var]


def columns_of(batch: Batch) -> ChunkColumns:
    """Return the columns of a batch whose chunks have one entry each."""
    count = len(batch)
    return ChunkColumns(batch.first, batch.attempt, (1_000,) * count, (1,) * count, UNREAD * count)
