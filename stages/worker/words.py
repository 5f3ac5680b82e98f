r"""Split text into words, as strings or as a column of a frame, exactly as `str.split` does.

For a column, white space becomes line feeds, and Polars reads the lines at once. White space is defined by
`str.isspace`: nine ASCII characters besides the line feed (Python also splits at `\x1c` to `\x1f`), and characters
beyond ASCII. Replacing their UTF-8 bytes is safe, because no character's bytes begin inside another character.
"""

import re
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

from elastic.core.frames import polars_module
from elastic.stages.sources.files.lines import LazyLines
from elastic.stages.worker.frames import FramedBlock, column_of

if TYPE_CHECKING:
    from elastic.core.frames import Frame

#: Name of the column of words.
WORD = "word"

_ASCII_TO_LINE_FEEDS = bytes.maketrans(b" \t\v\f\r\x1c\x1d\x1e\x1f", b"\n" * 9)

#: White space of `str.split` that `bytes.split` does not know.
_ONLY_STR_SPLIT = (b"\x1c", b"\x1d", b"\x1e", b"\x1f")

#: U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000
_NON_ASCII_SPACE = re.compile(
    rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80",
)


def words(entries: Iterable[str]) -> Iterable[str]:
    """Return the words of strings, in order."""
    if isinstance(entries, LazyLines):
        return entries.text.split()
    return chain.from_iterable(map(str.split, entries))


def utf8_words(entries: LazyLines) -> Iterable[bytes]:
    """Return the words of lines as UTF-8 bytes, in order."""
    return chain.from_iterable(map(bytes.split, map(_splittable, entries.pieces)))


def _splittable(data: bytes) -> bytes:
    """Return text that `bytes.split` splits where `str.split` splits it."""
    if any(map(data.__contains__, _ONLY_STR_SPLIT)):
        data = data.translate(_ASCII_TO_LINE_FEEDS)
    return _replace_non_ascii_space(data)


def _replace_non_ascii_space(data: bytes) -> bytes:
    return data if data.isascii() else _NON_ASCII_SPACE.sub(b"\n", data)


def word_frame(entries: Iterable[str]) -> "Frame":
    """Return the words of strings as the column `word`."""
    pl = polars_module()
    if isinstance(entries, FramedBlock):
        return entries.frame
    if not isinstance(entries, LazyLines):
        frame: Frame = pl.DataFrame({WORD: pl.Series(WORD, list(words(entries)), dtype=pl.String)})
        return frame
    lines = _replace_non_ascii_space(entries.data.translate(_ASCII_TO_LINE_FEEDS))
    # Indented text yields many empty lines. Comparing lengths is faster than comparing strings.
    return column_of(lines, WORD).filter(pl.col(WORD).str.len_bytes() > 0).collect()
