"""The first bytes of a file: whether they are text, or what else the file is.

Signatures: https://en.wikipedia.org/wiki/List_of_file_signatures and the specification of each format.
"""

from collections.abc import Iterator
from typing import NamedTuple

from elastic.core.errors import SourceError

#: So many bytes tell what a file is (bytes); the signature of a tar archive ends at byte 265.
LOOKED_AT = 512

#: Bytes of text in ASCII or UTF-8, among them the ends of lines and tabulators.
_OF_TEXT = bytes([*b"\t\n\r", *range(0x1B, 256)])

#: With fewer pairs of bytes UTF-16 without a mark is not told from text with zero bytes.
_FEWEST_PAIRS = 4

_NAME_IT = "give its name the ending"
_RENAME = f"{_NAME_IT} {{}}, and it is read"
_DECOMPRESS = "decompress it, and read what comes out"
_UNPACK = "unpack it, and read the files in it"
_LIBRARY = "read it with a library of that format, and give its records to from_iterable"
_LEAVE = "leave it out of the paths"


class _Signature(NamedTuple):
    start: bytes
    what: str
    advice: str


_SIGNATURES = (
    _Signature(b"\x1f\x8b\x08", "gzip data", _RENAME.format(".gz")),
    _Signature(b"BZh", "bzip2 data", _RENAME.format(".bz2")),
    _Signature(b"\x28\xb5\x2f\xfd", "Zstandard data", _RENAME.format(".zst")),
    _Signature(b"\xfd7zXZ\0", "xz data", _RENAME.format(".xz")),
    _Signature(b"]\0\0", "LZMA data", _DECOMPRESS),
    _Signature(b"\x1f\x9d", "compress data", _DECOMPRESS),
    _Signature(b"\x04\x22\x4d\x18", "LZ4 data", _DECOMPRESS),
    _Signature(b"\xff\x06\0\0sNaPpY", "Snappy data", _DECOMPRESS),
    _Signature(b"PK\3\4", "a zip archive", _UNPACK),
    _Signature(b"PK\5\6", "a zip archive without files", _LEAVE),
    _Signature(b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    _Signature(b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    _Signature(b"PAR1", "a Parquet file", _LIBRARY),
    _Signature(b"PARE", "an encrypted Parquet file", _LIBRARY),
    _Signature(b"ARROW1\0\0", "an Arrow file", _LIBRARY),
    _Signature(b"FEA1", "a Feather file", _LIBRARY),
    _Signature(b"ORC", "an ORC file", _LIBRARY),
    _Signature(b"Obj\1", "an Avro file", _LIBRARY),
    _Signature(b"\x89HDF\r\n\x1a\n", "an HDF5 file", _LIBRARY),
    _Signature(b"\x93NUMPY", "a NumPy array", _LIBRARY),
    _Signature(b"SQLite format 3\0", "a SQLite database", "read it with read_sql and a URL such as sqlite:///file.db"),
    _Signature(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Microsoft Office", _LIBRARY),
    _Signature(b"%PDF-", "a PDF document", _LEAVE),
    _Signature(b"\x89PNG\r\n\x1a\n", "a PNG image", _LEAVE),
    _Signature(b"\xff\xd8\xff", "a JPEG image", _LEAVE),
    _Signature(b"GIF87a", "a GIF image", _LEAVE),
    _Signature(b"GIF89a", "a GIF image", _LEAVE),
    _Signature(b"\x7fELF", "a program", _LEAVE),
)
#: The first bytes of all of them, and of the marks of UTF-16 and UTF-32.
_FIRST = frozenset([*(one.start[0] for one in _SIGNATURES), 0xFE, 0xFF, 0])

#: What archives in one compressed file are called.
_ARCHIVES = (".tgz", ".tbz", ".tbz2", ".txz", ".tzst")


def check_text(path: str, head: bytes, *, is_recoded: bool = False, inside: str = "") -> None:
    """Refuse a file whose first bytes say that it is no text, or text that cannot be cut at line feeds.

    Args:
        path: For the message.
        head: The first `LOOKED_AT` bytes of the file, or all where it has fewer.
        is_recoded: The reader expects text of another kind, such as UTF-16.
        inside: What the file is on the outside, where `head` is what comes out of it.

    Raises:
        SourceError: Says what it is, and what to do.
    """
    if not head or (head[0] not in _FIRST and b"\0" not in head):
        return  # the usual case, for each of thousands of files
    found = next((one for one in _SIGNATURES if _is_signed(head, one.start)), None)
    if found is None and b"\0" in head and _is_tar(head):
        found = _Signature(b"", "a tar archive", _UNPACK)
    if found is None and not is_recoded and (encoding := _wide_encoding(head)):
        found = _Signature(b"", f"text in {encoding.upper()}", f"pass encoding={encoding!r}")
    if found is not None:
        what, advice = found.what, found.advice
        if path.lower().endswith(_ARCHIVES) and advice.startswith(_NAME_IT):
            advice = _UNPACK
        if inside:
            what, advice = f"{inside} that holds {what}", _DECOMPRESS if advice.startswith(_NAME_IT) else advice
        raise SourceError(f"{path!r} is {what} and is not read as lines; {advice}.")


def looked_at(plain: Iterator[bytes], path: str, *, is_recoded: bool, inside: str) -> Iterator[bytes]:
    """Yield a stream whose beginning `check_text` has seen."""
    held = b""
    for buffer in plain:
        held += buffer
        if len(held) >= LOOKED_AT:
            break
    check_text(path, held[:LOOKED_AT], is_recoded=is_recoded, inside=inside)
    if held:
        yield held
    yield from plain


def _is_signed(head: bytes, start: bytes) -> bool:
    """Return True if a file has a signature; one that is made of letters also needs bytes that no text has."""
    if not head.startswith(start):
        return False
    return start == b"%PDF-" or not start.isascii() or not start.isalnum() or _is_binary(head)


def _is_binary(head: bytes) -> bool:
    return any(byte < 9 or 13 < byte < 27 for byte in head)


def _is_tar(head: bytes) -> bool:
    """Return True for the header of a tar archive, of which old ones have a sum of bytes and no signature."""
    if head[257:262] == b"ustar":
        return True
    told = head[148:156].strip(b" \0")
    if len(head) < LOOKED_AT or not told or told.strip(b"01234567"):
        return False
    return int(told, 8) == sum(head[:148]) + sum(head[156:512]) + 8 * ord(" ")


def _wide_encoding(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if the text is that: by its mark, or by where its zero bytes are."""
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" not in head:
        return None
    quads, pairs = head[: len(head) // 4 * 4], head[: len(head) // 2 * 2]
    if len(pairs) < 2 * _FEWEST_PAIRS:
        return None
    if not any(quads[2::4]) and not any(quads[3::4]) and _is_written(quads[0::4]):
        return "utf-32-le"
    if not any(quads[0::4]) and not any(quads[1::4]) and _is_written(quads[3::4]):
        return "utf-32-be"
    for low, high, encoding in ((pairs[0::2], pairs[1::2], "utf-16-le"), (pairs[1::2], pairs[0::2], "utf-16-be")):
        # Letters of one script have the same high byte: 0 in Latin, 3 to 16 in Greek, Cyrillic, Arabic, Thai and such.
        if _is_written(low) and 0 in high and 2 * len(high.translate(None, _OF_TEXT)) >= len(high):
            return encoding
    return None


def _is_written(units: bytes) -> bool:
    """Return True if bytes may be those of written text: no zeros, and not line ends alone."""
    return 0 not in units and bool(units.strip(b"\r\n\t"))
