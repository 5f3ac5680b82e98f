"""Encoding of receipt rows, and refusal of invalid bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from persistence_samples import row_of

from elastic.core.errors import CorruptStoreError, EncodingError
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.receipt_codec import pack_row, unpack_row
from tests.core.column_samples import with_changes

NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)


def unpacked(row: ReceiptRow, data: bytes) -> ReceiptRow:
    return unpack_row(row.first, row.count, row.columns.attempt, (row.node_id, row.worker_id), data)


@st.composite
def rows(draw: st.DrawFn) -> ReceiptRow:
    count = draw(st.integers(1, 5))
    numbers = st.lists(st.integers(0, 9) | NUMBERS, min_size=count, max_size=count).map(tuple)
    failed = draw(st.just(()) | numbers)
    digests = st.binary(min_size=16 * count, max_size=16 * count)
    states, link = draw(st.binary(min_size=16, max_size=16)), draw(st.binary(min_size=16, max_size=16))
    columns = ChunkColumns(draw(NUMBERS), 1, draw(numbers), draw(numbers), draw(digests))
    return ReceiptRow(columns, "n", "w", states, link, failed)


@given(rows())
def test_a_row_comes_back_as_it_was(row: ReceiptRow) -> None:
    assert unpacked(row, pack_row(row)) == row


@pytest.mark.parametrize(("spread", "width"), [(0, 0), (255, 1), (256, 2), (65535, 2), (65536, 4), (1 << 32, 8)])
def test_a_column_takes_as_many_bytes_as_its_spread_needs(spread: int, width: int) -> None:
    row = with_changes(row_of(0, 4), entries=(7, 7, 7, 7), cut_at=(10**15, 10**15, 10**15 + spread, 10**15))
    assert len(pack_row(row)) == 18 + 16 + 16 + 4 * (width + 16)
    assert unpacked(row, pack_row(row)) == row


@pytest.mark.parametrize(
    "change",
    [
        {"entries": (1, 2, 3), "cut_at": (1, 2, 3)},
        {"cut_at": (), "entries": (), "contents": b""},
        {"cut_at": (1,)},
        {"entries": (1, 2, 3)},
        {"contents": bytes(31)},
        {"link": bytes(32)},
        {"states": b""},
        {"entries": (1, 1 << 65)},
        {"entries": (1 << 63, 1 << 63)},
        {"entries": (1, 2.5)},
        {"failed": (1,)},
        {"failed": (1, 2, 3)},
        {"failed": (1, "a")},
        {"cut_at": ("a", "b")},
    ],
)
def test_a_row_whose_columns_do_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EncodingError, match="batch at chunk 0"):
        pack_row(with_changes(row_of(0, 2), **change))


@pytest.mark.parametrize("failed", [(), (0, 1)])
def test_bytes_of_another_length_are_refused(failed: tuple[int, ...]) -> None:
    row = with_changes(row_of(3, 2), entries=(5, 300), failed=failed)
    data = pack_row(row)
    for bad in (*(data[:length] for length in range(len(data))), data + b"\0"):
        with pytest.raises(CorruptStoreError, match="batch at chunk 3"):
            unpacked(row, bad)
    for count in (0, 1, 3, -1):
        with pytest.raises(CorruptStoreError):
            unpack_row(row.first, count, row.columns.attempt, (row.node_id, row.worker_id), data)
