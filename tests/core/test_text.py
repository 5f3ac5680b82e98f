"""Text from data fits into databases, and controls no terminal."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.core.text import CONTINUED, error_text, json_text, lines, message, one_line, writable

ANY = st.text(st.characters())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("\u00fc \U0001f600", "\u00fc \U0001f600"),
        (os.fsdecode(b"caf\xe9.csv"), "caf\\udce9.csv"),
        ("a\0b", "a\\x00b"),
        ("one\n\ttwo", "one\n\ttwo"),
        ("", ""),
    ],
)
def test_what_databases_refuse_is_escaped(text: str, kept: str) -> None:
    assert writable(text) == kept


@given(ANY)
def test_every_text_becomes_one_that_databases_take(text: str) -> None:
    assert "\0" not in writable(text)
    assert writable(text).encode().decode() == writable(text)


@given(ANY, st.integers(min_value=0, max_value=200))
def test_no_text_is_longer_than_it_may_be(text: str, longest: int) -> None:
    assert len(writable(text * 20, longest)) <= longest


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    kept = writable("begin" + "x" * 1000 + "end", 100)
    assert kept.startswith("begin")
    assert kept.endswith("end")
    assert "characters left out" in kept


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
        ("caf\udce9", "caf\\udce9"),
        ("\u0627\u200c\u05d0 \u00fc\u00a0x", "\u0627\u200c\u05d0 \u00fc\u00a0x"),
    ],
)
def test_text_of_one_line_commands_no_terminal(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(ANY)
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert len(message(text).splitlines()) == 1 + message(text).count("\n") - message(text).endswith("\n") or not text


def test_lines_keep_their_ends_and_a_message_cannot_pass_for_two() -> None:
    forged = "loaded\r\n[2016-02-22] {x:1} INFO - Task succeeded\x1b[2J"
    assert lines(forged) == "loaded\n[2016-02-22] {x:1} INFO - Task succeeded\\x1b[2J"
    assert message(forged).splitlines()[1].startswith(CONTINUED + "[2016")


@given(ANY)
def test_an_escaped_json_document_says_the_same(text: str) -> None:
    document = json_text(json.dumps([text], ensure_ascii=False))
    assert json.loads(document) == [text]
    assert not {"\x7f", "\x9b", "\u202e"} & set(document)


def test_an_error_without_a_message_is_described_by_its_class() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert error_text(MuteError()) == "(its text cannot be made: RuntimeError)"
