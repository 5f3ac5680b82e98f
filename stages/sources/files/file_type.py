"""File types: whether the first bytes of a file are text, or which other type of file they belong to.

Signatures: https://en.wikipedia.org/wiki/List_of_file_signatures and the specification of each format.
"""

from collections.abc import Iterator
from typing import NamedTuple

from elastic.core.errors import SourceError

#: Number of bytes that identify the type of a file; the signature of a tar archive ends at byte 265.
SIGNATURE_BYTES = 512

#: Bytes of ASCII or UTF-8 text, including tabs and line ends.
_TEXT_BYTES = bytes([*b"\t\n\r", *range(0x1B, 256)])

#: Minimum number of byte pairs; in shorter data, UTF-16 without a mark looks like text with zero bytes.
_MIN_PAIRS = 4

_ADD_SUFFIX = "rename it with the suffix"
_RENAME = f"{_ADD_SUFFIX} {{}} and Elastic decompresses it"
_DECOMPRESS = "decompress it and read the result"
_UNPACK = "unpack it and read the files in it"
_LIBRARY = "read it with a library for that format and pass its records to from_iterable"
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
    _Signature(b"PAR1", "a Parquet file", "read it with read_parquet"),
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
#: First bytes of all signatures and of the byte order marks of UTF-16 and UTF-32.
_FIRST_BYTES = frozenset([*(one.start[0] for one in _SIGNATURES), 0xFE, 0xFF, 0])

#: Suffixes of compressed tar archives.
_ARCHIVE_SUFFIXES = (".tgz", ".tbz", ".tbz2", ".txz", ".tzst")


def check_text(path: str, head: bytes, *, needs_recoding: bool = False, outer: str = "") -> None:
    """Refuse a file whose first bytes show binary data, or text that cannot be cut at line feeds.

    Args:
        path: Path for the message.
        head: The first `SIGNATURE_BYTES` bytes of the file, or the whole of a shorter file.
        needs_recoding: The reader expects an encoding without ASCII line ends, such as UTF-16.
        outer: Type of the compressed file from which `head` was decompressed.

    Raises:
        SourceError: The message has the type of the file and advice.
    """
    if not head or (head[0] not in _FIRST_BYTES and b"\0" not in head):
        return  # the usual case; called for each of thousands of files
    found = _signature_of(head)
    if found is None and not needs_recoding and (encoding := _wide_encoding(head)):
        found = _Signature(b"", f"text in {encoding.upper()}", f"pass encoding={encoding!r}")
    if found is not None:
        what, advice = found.what, found.advice
        if path.lower().endswith(_ARCHIVE_SUFFIXES) and advice.startswith(_ADD_SUFFIX):
            advice = _UNPACK
        if outer:
            what, advice = f"{outer} that contains {what}", _DECOMPRESS if advice.startswith(_ADD_SUFFIX) else advice
        raise SourceError(f"{path!r} is {what} and cannot be read as lines; {advice}.")


def type_of(head: bytes) -> str | None:
    """Return the type of a binary file, such as "gzip data", by its first bytes; None if they are not known."""
    found = _signature_of(head)
    return None if found is None else found.what


def _signature_of(head: bytes) -> _Signature | None:
    found = next((one for one in _SIGNATURES if _has_signature(head, one.start)), None)
    if found is None and b"\0" in head and _is_tar(head):
        return _Signature(b"", "a tar archive", _UNPACK)
    return found


def check_stream(plain: Iterator[bytes], path: str, *, needs_recoding: bool, outer: str) -> Iterator[bytes]:
    """Yield a stream after `check_text` has checked its beginning."""
    head = b""
    for buffer in plain:
        head += buffer
        if len(head) >= SIGNATURE_BYTES:
            break
    check_text(path, head[:SIGNATURE_BYTES], needs_recoding=needs_recoding, outer=outer)
    if head:
        yield head
    yield from plain


def _has_signature(head: bytes, start: bytes) -> bool:
    """Return True if a file has a signature; a signature of ASCII letters also requires bytes that no text contains."""
    if not head.startswith(start):
        return False
    return start == b"%PDF-" or not start.isascii() or not start.isalnum() or _is_binary(head)


def _is_binary(head: bytes) -> bool:
    return any(byte < 9 or 13 < byte < 27 for byte in head)


def _is_tar(head: bytes) -> bool:
    """Return True for the header of a tar archive; old archives have a checksum instead of a signature."""
    if head[257:262] == b"ustar":
        return True
    checksum = head[148:156].strip(b" \0")
    if len(head) < SIGNATURE_BYTES or not checksum or checksum.strip(b"01234567"):
        return False
    return int(checksum, 8) == sum(head[:148]) + sum(head[156:512]) + 8 * ord(" ")


def _wide_encoding(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if the text has that encoding, by its mark or by the positions of its zero bytes."""
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" not in head:
        return None
    quads, pairs = head[: len(head) // 4 * 4], head[: len(head) // 2 * 2]
    if len(pairs) < 2 * _MIN_PAIRS:
        return None
    if not any(quads[2::4]) and not any(quads[3::4]) and _looks_like_text(quads[0::4]):
        return "utf-32-le"
    if not any(quads[0::4]) and not any(quads[1::4]) and _looks_like_text(quads[3::4]):
        return "utf-32-be"
    for low, high, encoding in ((pairs[0::2], pairs[1::2], "utf-16-le"), (pairs[1::2], pairs[0::2], "utf-16-be")):
        # Characters of one script share a high byte: 0 in Latin, 3 to 16 in Greek, Cyrillic, Arabic, Thai and others.
        if _looks_like_text(low) and 0 in high and 2 * len(high.translate(None, _TEXT_BYTES)) >= len(high):
            return encoding
    return None


def _looks_like_text(units: bytes) -> bool:
    """Return True if bytes may be text: no zeros, and not only line ends and tabs."""
    return 0 not in units and bool(units.strip(b"\r\n\t"))
