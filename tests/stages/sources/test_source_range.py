"""Ranges: three numbers a chunk, however many entries it stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_samples import as_sent, chunks, entries

from elastic.core.encoding import pack
from elastic.core.errors import UsageError
from elastic.stages.sources import RangeSource

numbers = st.integers(-30, 30)


@given(numbers, numbers, numbers.filter(bool), st.integers(1, 12))
def test_any_range_is_cut_into_its_numbers(start: int, stop: int, step: int, chunk_size: int) -> None:
    source = RangeSource(start, stop, step, chunk_size=chunk_size)
    read = chunks(source)
    assert [number for chunk in read for number in chunk] == list(range(start, stop, step))
    assert all(len(chunk) == chunk_size for chunk in read[:-1])
    assert len(read) == source.expected_chunks()


def test_a_chunk_takes_the_same_few_bytes_however_many_numbers_it_stands_for() -> None:
    source = RangeSource(0, 10**15, chunk_size=10**12)
    pieces = list(source.cut())
    assert len(pieces) == source.expected_chunks() == 1000
    reader = source.reader()
    for piece in pieces:
        block = reader.read_block(as_sent(piece.reference))
        assert len(pack(piece.reference)) < 40
        assert len(block) < 40
        assert len(reader.parse(piece.reference, block)) == 10**12


def test_numbers_of_any_size_are_read() -> None:
    assert entries(RangeSource(2**70, 2**70 + 3, chunk_size=2)) == [2**70, 2**70 + 1, 2**70 + 2]
    assert RangeSource(0, 2**70, chunk_size=2**69).expected_chunks() == 2


def test_a_number_is_located() -> None:
    source = RangeSource(10, 0, -3, chunk_size=2)
    last = list(source.cut())[-1]
    assert source.reader().locate(as_sent(last.reference), 1) == "number 1"
    assert source.reader().probes(last.reference) is None


def test_the_manifest_of_a_range_says_what_is_read() -> None:
    described = {"kind": "range", "start": 1, "stop": 9, "step": 2, "chunk_size": 3000}
    assert RangeSource(1, 9, 2).describe() == described


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((1.0, 5), "start must be an integer, not 1.0"),
        ((0, "5"), "stop must be an integer, not '5'"),
        ((True, 5), "start must be an integer, not True"),
        ((0, 5, None), "step must be an integer, not None"),
        ((0, 5, 0), "step must not be 0"),
    ],
)
def test_a_range_that_cannot_be_is_refused(arguments: tuple[object, ...], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        RangeSource(*arguments)  # type: ignore[arg-type]
