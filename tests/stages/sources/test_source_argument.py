"""What a source is given is checked where it is written, and the message names the parameter and the value."""

from collections.abc import Callable
from typing import Any

import pytest

from elastic.core.errors import UsageError
from elastic.stages.sources import (
    CsvRecordFormat,
    FileSource,
    IterableSource,
    IterablesSource,
    JsonLinesRecordFormat,
    RangeSource,
    SqlSource,
    TextLines,
)

SIZED: list[Callable[[Any], object]] = [
    lambda value: RangeSource(0, 1, chunk_size=value),
    lambda value: IterableSource([], chunk_size=value),
    lambda value: IterablesSource([[]], chunk_size=value),
    lambda value: SqlSource("select 1", "sqlite://", chunk_size=value),
]


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "3000", None])
@pytest.mark.parametrize("make", SIZED)
def test_a_chunk_size_must_be_a_positive_integer(make: Callable[[Any], object], value: object) -> None:
    with pytest.raises(UsageError, match=rf"chunk_size must be a positive integer, not {value!r}\."):
        make(value)


@pytest.mark.parametrize("value", [0, -1, True, 1e6, "4MB", None])
def test_the_bytes_of_a_chunk_must_be_a_positive_integer(value: Any) -> None:
    with pytest.raises(UsageError, match=rf"chunk_bytes must be a positive integer, not {value!r}\."):
        FileSource("file", TextLines(), chunk_bytes=value)


@pytest.mark.parametrize("value", ["x", "", None, True, 1])
def test_ship_is_one_of_three_words(value: Any) -> None:
    with pytest.raises(UsageError, match=rf"ship must be one of 'auto', 'reference', 'value', not {value!r}\."):
        FileSource("file", TextLines(), ship=value)


@pytest.mark.parametrize("value", ["x", "ignore", None, True])
@pytest.mark.parametrize("format", [TextLines, JsonLinesRecordFormat, CsvRecordFormat])
def test_errors_are_strict_or_replaced(format: Callable[..., object], value: Any) -> None:
    with pytest.raises(UsageError, match=rf"errors must be one of 'strict', 'replace', not {value!r}\."):
        format(errors=value)


@pytest.mark.parametrize(
    ("encoding", "problem"),
    [
        ("klingon", "'klingon' is not a known text encoding"),
        ("hex", "'hex' is not a known text encoding"),
        ("", "'' is not a known text encoding"),
        (None, "encoding must be a name such as 'utf-8', not None"),
        ("unicode_escape", "'unicode_escape' is not an encoding of files"),
        ("raw-unicode-escape", "not an encoding of files"),
        ("idna", "not an encoding of files"),
        ("punycode", "not an encoding of files"),
        ("undefined", "not an encoding of files"),
        ("rot13", "'rot13' is not a known text encoding"),
    ],
)
@pytest.mark.parametrize("format", [TextLines, JsonLinesRecordFormat, CsvRecordFormat])
def test_an_encoding_must_be_one_that_files_are_in(format: Callable[..., object], encoding: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        format(encoding=encoding)


@pytest.mark.parametrize("format", [None, "csv", TextLines])
def test_the_format_must_be_one(format: Any) -> None:
    with pytest.raises(UsageError, match="format must be TextLines, JsonLines, CsvRows or another Format"):
        FileSource("file", format)
