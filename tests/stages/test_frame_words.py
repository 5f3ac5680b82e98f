"""Words as a column equal those of `str.split`, whatever the white space; lines equal those of a plain reader."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.stages.sources import FileSource, TextLines
from elastic.stages.sources.files.block import FileBlock
from elastic.stages.sources.files.format import split_lines
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.worker.frames import frame_in
from elastic.stages.worker.words import utf8_words, word_frame, words

EVERY = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
WHITE = "".join(filter(str.isspace, EVERY))
NASTY = [
    "",
    " ",
    "\n\n\n",
    "a",
    "\ufeffa b",
    "a\r\nb\rc\r\r\n d",
    "\r",
    "a\nb\r",
    "a\x00b \x00",
    "one\x1ctwo\x1dthree\x1efour\x1ffive\x85six",
    "no\u200bbreak\u2060here \u180eor\ufeffthere",
    "\u3000\u2003\u1680wide\u202f\u205f",
    "quoted \"'` ,;| \\n \\",
    "x" * 5000 + " " * 5000 + "\u00e9" * 5000,
    "\u00c2\u0085 \u00e2\u0080\u00a8 \u0100\u0160\u2080\u2028\u0085",
]


def column(text: str) -> list[Any]:
    return word_frame(LazyLines(text.encode())).get_column("word").to_list()


def utf8(text: str) -> list[str]:
    return [word.decode() for word in utf8_words(LazyLines(text.encode()))]


@pytest.mark.parametrize(
    "text", [*NASTY, "word \u3000 " * 99_999 + "\nlast" * 99_999, WHITE, "x".join(WHITE), "\n".join(NASTY)]
)
def test_a_column_has_the_words_of_str_split(text: str) -> None:
    assert column(text) == text.split() == list(words(LazyLines(text.encode()))) == list(words([text]))
    assert utf8(text) == text.split()
    assert word_frame([text]).get_column("word").to_list() == text.split()
    assert frame_in(LazyLines(text.encode())).get_column("entry").to_list() == split_lines(text)


def test_every_character_splits_words_in_a_column_where_it_splits_them_in_python() -> None:
    text = "".join([f"<{character}> " for character in EVERY])
    assert len(WHITE) == 29
    assert column(text) == text.split() == utf8(text)


@given(text=st.text(st.one_of(st.sampled_from(WHITE + "ab\u00c2\u0160"), st.characters(exclude_categories=["Cs"]))))
def test_any_text_has_the_same_words_and_lines_in_columns(text: str) -> None:
    block, lines = LazyLines(text.encode()), split_lines(text)
    assert column(text) == text.split() == utf8(text)
    assert (list(block), len(block)) == (lines, len(lines))
    assert frame_in(block).get_column("entry").to_list() == lines
    for part in (slice(0, len(lines)), slice(1, 3), slice(2, 2)):
        assert (list(block[part]), len(block[part])) == (lines[part], len(lines[part]))
        assert frame_in(block[part]).get_column("entry").to_list() == lines[part]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_a_block_in_columns_is_what_it_is_in_lines(encoding: str, errors: str) -> None:
    data = "\u00e9t\u00e9 na\u00efve\nand so\u00a0on\n".encode(encoding)
    form = TextLines(encoding=encoding, errors=errors)
    assert list(form.columns(FileBlock("a", 0, data))) == form.parse(FileBlock("a", 0, data))
    bom = b"\xef\xbb\xbfone\ntwo"
    for at in (0, 7):
        assert list(TextLines().columns(FileBlock("a", at, bom))) == TextLines().parse(FileBlock("a", at, bom))


def test_undecodable_bytes_have_the_same_error() -> None:
    block = FileBlock("file.txt", 10, b"fine\nnot \xff fine\n")
    told = []
    for way in (TextLines().parse, TextLines().columns):
        with pytest.raises(ValueError, match=r"'file.txt', byte 19: not utf-8 text") as raised:
            way(block)
        told.append(str(raised.value))
    assert told[0] == told[1]
    assert list(TextLines(errors="replace").columns(block)) == ["fine", "not \ufffd fine"]


def test_a_chunk_without_a_line_is_a_column_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("one long line\nend\n")
    source = FileSource(path, TextLines(), chunk_bytes=4)
    reader = source.reader().columnar()
    frames = [frame_in(reader.parse(piece.reference, reader.read_block(piece.reference))) for piece in source.cut()]
    assert [frame.height for frame in frames] == [1, 0, 0, 1, 0]
    assert {str(frame.schema) for frame in frames} == {str(frames[0].schema)}
