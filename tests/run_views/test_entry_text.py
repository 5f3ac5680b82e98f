"""Entries of dead letters as text and as hexadecimal digits."""

import math
from dataclasses import replace
from typing import Any

import pytest

from elastic.core.model.bad_record import RawRecord
from elastic.run_views.entry_text import MAX_HEX, MAX_TEXT, dump, entry_line, entry_text
from tests.run_views.stored_run_samples import HOSTILE_TEXTS, letter_of


def repr_of(value: Any) -> str:
    return type(value).__name__


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


def test_a_string_is_shown_as_it_is_with_its_bytes() -> None:
    found = entry_text(letter_of(0, entry="30 EUR"))
    assert (found.kind, found.text, found.is_cut) == ("str, 6 characters", "30 EUR", False)
    assert found.hex == "00000000  33 30 20 45 55 52                                30 EUR"


def test_bytes_are_shown_as_a_dump_and_as_text() -> None:
    found = entry_text(letter_of(0, entry=b"\xff\x00a"))
    assert (found.kind, found.text, found.hex.split("  ")[1]) == ("bytes, 3 bytes", "\\xff\\x00a", "ff 00 61")


def test_a_record_that_could_not_be_parsed_shows_its_bytes() -> None:
    found = entry_text(letter_of(0, entry=RawRecord(b'a,"b', ("x",))))
    assert (found.kind, found.text) == ("record, 4 bytes", 'a,"b')
    assert "could not parse" in found.note


@pytest.mark.parametrize(
    "value", [None, math.nan, 1 << 40_000, {"a": [1, (2,)]}, [], nested(95), {"k": b"\0"}, True], ids=repr_of
)
def test_any_plain_data_has_a_text(value: Any) -> None:
    found = entry_text(letter_of(0, entry=value))
    assert found.text
    assert found.kind
    assert found.is_encoded
    assert len(entry_line(letter_of(0, entry=value))) <= 80


def test_a_huge_entry_is_cut() -> None:
    found = entry_text(letter_of(0, entry="é" * 500_000))
    assert (len(found.text), found.is_cut) == (MAX_TEXT, True)
    assert len(found.hex.splitlines()) == MAX_HEX // 16
    assert len(entry_text(letter_of(0, entry=list(range(100_000)))).text) <= MAX_TEXT


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_no_text_moves_a_cursor_or_breaks_an_encoding(text: str) -> None:
    found = entry_text(letter_of(0, entry=text))
    assert not any(character in found.text for character in "\0\x1b\u202e\u2028")
    found.text.encode()
    line = entry_line(letter_of(0, entry=text))
    assert line.isprintable()
    assert len(line) <= 80


def test_an_entry_that_cannot_be_decoded_shows_its_stored_bytes() -> None:
    found = entry_text(replace(letter_of(0), entry=b"\xc1\xff"))
    assert (found.text, found.hex.split("  ")[1], found.is_encoded) == ("", "c1 ff", True)
    assert "cannot be decoded" in found.note
    assert entry_line(replace(letter_of(0), entry=b"\xc1\xff")) == "2 bytes that cannot be decoded"


def test_an_entry_that_would_fill_the_memory_is_not_decoded() -> None:
    letter = replace(letter_of(0, entry="x"), entry=b"\xdd\x00\x20\x00\x00" + b"\x90" * (2 << 20))
    found = entry_text(letter)
    assert (found.text, found.is_encoded, found.is_cut) == ("", True, True)
    assert "too large to be decoded" in found.note
    assert found.hex.startswith("00000000  dd 00 20 00 00 90")


def test_a_description_says_that_it_is_one() -> None:
    found = entry_text(letter_of(0, entry="<Price object>", exact=False))
    assert "so only a description is stored" in found.note
    assert entry_line(letter_of(0, entry="<Price object>", exact=False)) == "<Price object>"


def test_nothing_has_an_empty_dump() -> None:
    assert dump(b"") == ""
