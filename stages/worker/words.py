r"""Words: what `str.split` makes of texts, as Python's strings or as a column of a frame.

For a column the white space of a block becomes line feeds, and the lines are read at once. White space is what
`str.isspace` says: nine ASCII characters besides the line feed (Python also splits at `\x1c` to `\x1f`), and those
beyond ASCII, whose bytes in UTF-8 stand for nothing else, because no character's bytes begin inside of another's.
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

#: The column of words.
WORD = "word"

_ASCII = bytes.maketrans(b" \t\v\f\r\x1c\x1d\x1e\x1f", b"\n" * 9)

#: What `str.split` knows as white space, and `bytes.split` does not.
_STRANGE = (b"\x1c", b"\x1d", b"\x1e", b"\x1f")

#: U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000
_WIDE = re.compile(
    rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80",
)


def words(entries: Iterable[str]) -> Iterable[str]:
    """Return the words of texts, in order."""
    if isinstance(entries, LazyLines):
        return entries.text.split()
    return chain.from_iterable(map(str.split, entries))


def utf8_words(entries: LazyLines) -> Iterable[bytes]:
    """Return the words of lines as their bytes in UTF-8, in order."""
    return chain.from_iterable(map(bytes.split, map(_splittable, entries.pieces)))


def _splittable(data: bytes) -> bytes:
    """Return text that `bytes.split` splits where `str.split` splits it."""
    if any(map(data.__contains__, _STRANGE)):
        data = data.translate(_ASCII)
    return _without_wide(data)


def _without_wide(data: bytes) -> bytes:
    return data if data.isascii() else _WIDE.sub(b"\n", data)


def word_frame(entries: Iterable[str]) -> "Frame":
    """Return the words of texts as the column `word`."""
    pl = polars_module()
    if isinstance(entries, FramedBlock):
        return entries.frame
    if not isinstance(entries, LazyLines):
        frame: Frame = pl.DataFrame({WORD: pl.Series(WORD, list(words(entries)), dtype=pl.String)})
        return frame
    lines = _without_wide(entries.data.translate(_ASCII))
    # Most of them are empty where text is indented; a length is compared faster than a text.
    return column_of(lines, WORD).filter(pl.col(WORD).str.len_bytes() > 0).collect()
