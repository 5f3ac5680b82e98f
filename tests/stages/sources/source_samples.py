"""How the tests of this folder read a source, as a run would, and what they expect of text."""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elastic.core.contracts.source import Reader, Source
from elastic.core.encoding import pack, unpack
from elastic.core.model.chunk import Position, Reference, SourcePiece

BOM = b"\xef\xbb\xbf"
DATA = Path(__file__).parents[4] / "shared/data"

#: Small texts in which every record is different, by what is nasty about them.
TEXTS = {
    "empty": b"",
    "one line end": b"\n",
    "only line ends": b"\n\n\n",
    "no final line end": b"one\ntwo\nthree",
    "final line end": b"one\ntwo\nthree\n",
    "no line end at all": b"alone",
    "carriage returns": b"one\r\ntwo\r\n\r\nthree\r\n",
    "lone carriage returns": b"on\re\ntwo\r\r\n\rthree\nfour\r",
    "other separators": "one\x0b\x0ctwo\x1c\x85\u2028three\nfour\n".encode(),
    "long line first": b"a line that is longer than most chunks are\nb\nc\n",
    "long line last": b"b\nc\na line that is longer than most chunks are",
    "wide characters": "\u00e9\n\u20ac\u20ac\n\U0001f600\U0001f601\nz\u0301\n".encode(),
    "byte order mark": BOM + b"one\ntwo\n",
    "only a byte order mark": BOM,
    "byte order mark inside": b"one\n" + BOM + b"two\n",
    "zero bytes": b"\0\n\0\0\n",
}


def as_sent(value: Any) -> Any:
    """Return plain data as it arrives on the other side of a wire."""
    return unpack(pack(value))


def entries_of(reader: Reader, piece: SourcePiece) -> list[Any]:
    """Return the entries of a piece as a worker sees them."""
    reference: Reference = as_sent(piece.reference)
    if piece.entries is not None:
        block = pack(piece.entries)
    else:
        block = reader.read_block(reference) if piece.block is None else piece.block
    return list(reader.parse(reference, block))


def chunks(source: Source, position: Position | None = None) -> list[list[Any]]:
    """Return the entries of all pieces, a list a piece, read by a copy of the reader."""
    reader: Reader = pickle.loads(pickle.dumps(source.reader()))
    return [entries_of(reader, piece) for piece in source.cut(position)]


def entries(source: Source) -> list[Any]:
    return [entry for chunk in chunks(source) for entry in chunk]


def lines_of(data: bytes) -> list[tuple[int, str]]:
    """Return the lines of a text with their first bytes, found byte by byte."""
    found, start = [], 0
    for at, byte in enumerate(data):
        if byte == 10:
            end = at - 1 if at > start and data[at - 1] == 13 else at
            found.append((start, data[start:end]))
            start = at + 1
    if start < len(data):
        found.append((start, data[start:]))
    if found and found[0][1].startswith(BOM):
        found[0] = (0, found[0][1][len(BOM) :])
        if data == BOM:
            found.clear()
    return [(at, line.decode()) for at, line in found]


def assert_goes_on_anywhere(source: Source, fresh: Source) -> None:
    """Check that cutting at the position of any piece gives that piece and those after it, in a fresh source too."""
    pieces = list(source.cut())
    assert list(source.cut()) == pieces
    for number, piece in enumerate(pieces):
        position = as_sent(piece.position)
        assert list(source.cut(position)) == pieces[number:]
        assert list(fresh.cut(position)) == pieces[number:]


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run as a user for whom permissions count."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
