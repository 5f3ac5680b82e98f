"""Receipt rows as bytes: the columns of a batch, in 16 to 34 bytes per chunk.

Frame of reference coding stores `conceived_at`, `entries` and, if entries failed, `failed`: the minimum of the column,
and for each chunk its distance from the minimum. Distances have the width of the largest one. A column of equal values
needs no bytes.
"""

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise

from elastic.core.errors import CorruptStoreError, EncodingError
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.receipt_row import ReceiptRow

_DIGEST = 16
_HEAD = struct.Struct("<qBqB")
#: Flag in the width of `entries`: the head of the column `failed` follows.
_HAS_FAILED = 0x80
_FAILED_HEAD = struct.Struct("<qB")
_TYPES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def pack_row(row: ReceiptRow) -> bytes:
    """Return the columns of a row, its `states` and its `link` as bytes.

    Raises:
        EncodingError: A column does not have `count` values, or a value is not a 64-bit integer.
    """
    columns = row.columns
    lengths = [len(columns.cut_at), len(columns.contents) / _DIGEST]
    lengths += [len(row.failed)] if row.failed else []
    if row.count < 1 or any(length != row.count for length in lengths) or len(row.states + row.link) != 2 * _DIGEST:
        raise EncodingError(
            f"the receipts of the batch at chunk {row.first} must have {row.count} values in each column."
        )
    try:
        conceived_at, conceived_width, conceived = _pack_column(columns.cut_at)
        entries, entries_width, counts = _pack_column(columns.entries)
        flag = _HAS_FAILED if row.failed else 0
        head = _HEAD.pack(conceived_at, conceived_width, entries, entries_width | flag)
        failures = b""
        if row.failed:
            failed, failed_width, failures = _pack_column(row.failed)
            head += _FAILED_HEAD.pack(failed, failed_width)
    except (struct.error, TypeError, OverflowError) as error:
        raise EncodingError(f"the receipts of the batch at chunk {row.first} cannot be stored ({error}).") from error
    return b"".join((head, row.states, conceived, counts, failures, columns.contents, row.link))


def unpack_row(first: int, count: int, attempt: int, worker: tuple[str, str], data: bytes) -> ReceiptRow:
    """Return the row that `pack_row` packed; `worker` is node id and worker id.

    Raises:
        CorruptStoreError: The bytes are not a row of `count` chunks.
    """
    try:
        conceived_at, conceived_width, entries, entries_width = _HEAD.unpack_from(data)
        has_failed, entries_width = entries_width & _HAS_FAILED, entries_width & ~_HAS_FAILED
        failed, failed_width = _FAILED_HEAD.unpack_from(data, _HEAD.size) if has_failed else (0, 0)
        start = _HEAD.size + (_FAILED_HEAD.size if has_failed else 0)
        widths = (conceived_width, entries_width, failed_width, _DIGEST)
        ends = list(accumulate([start, _DIGEST, *(count * width for width in widths), _DIGEST]))
        if count < 1 or ends[-1] != len(data):
            raise ValueError(f"expected {ends[-1]} bytes, got {len(data)}")
        states, conceived, counts, failures, contents, link = (data[begin:end] for begin, end in pairwise(ends))
        return ReceiptRow(
            ChunkColumns(
                first,
                attempt,
                cut_at=_unpack_column(conceived_at, conceived_width, conceived, count),
                entries=_unpack_column(entries, entries_width, counts, count),
                contents=contents,
            ),
            *worker,
            states,
            link,
            _unpack_column(failed, failed_width, failures, count) if has_failed else (),
        )
    except (struct.error, ValueError, KeyError) as error:
        raise CorruptStoreError(f"the receipts of the batch at chunk {first} are damaged ({error})") from error


def failed_of(first: int, count: int, data: bytes) -> tuple[int, ...]:
    """Return the number of failed entries of each chunk of a packed row, or an empty tuple if none failed.

    Raises:
        CorruptStoreError: The bytes are not a row of `count` chunks.
    """
    if len(data) >= _HEAD.size and not data[_HEAD.size - 1] & _HAS_FAILED:
        return ()
    return tuple(unpack_row(first, count, 0, ("", ""), data).failed)


def _pack_column(values: Sequence[int]) -> tuple[int, int, bytes]:
    """Return the minimum, the width of a distance (bytes), and the distances."""
    base, largest = min(values), max(values)
    if largest == base:
        return base, 0, b""
    width = next(width for width in (1, 2, 4, 8) if (largest - base) >> (8 * width) == 0 or width == 8)
    return base, width, _little_endian(array(_TYPES[width], [value - base for value in values])).tobytes()


def _unpack_column(base: int, width: int, data: bytes, count: int) -> tuple[int, ...]:
    if width == 0:
        return (base,) * count
    distances = array(_TYPES[width])
    distances.frombytes(data)
    return tuple([base + distance for distance in _little_endian(distances)])


def _little_endian(values: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        values.byteswap()
    return values
