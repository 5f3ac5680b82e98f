"""Compressed files: detection of the codec, and decompression as a stream.

Formats: RFC 1952 (gzip), https://sourceware.org/bzip2, RFC 8878 (zstd) and https://tukaani.org/xz/xz-file-format.txt.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import zstandard

from elastic.core.errors import DecodingError

#: Bytes per read of a compressed file. Small, because a decompressor returns all plain bytes of its input at once.
_READ_BYTES = 1 << 14

#: Bytes per read of an uncompressed file.
_PLAIN_READ_BYTES = 1 << 18

#: Codec of an uncompressed file that is read as one sequence.
PLAIN = "plain"

_ADVICE = "get the file again, or rename it if it is not compressed"
_CODECS_BY_SUFFIX = {"gz": "gzip", "gzip": "gzip", "bz2": "bz2", "zst": "zstd", "zstd": "zstd", "xz": "xz"}
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=16 + zlib.MAX_WBITS),
    "bz2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}


def codec_of(path: str) -> str | None:
    """Return the codec for the suffix of a file name, or None if the file is not compressed."""
    _, dot, suffix = path.rpartition(".")
    return _CODECS_BY_SUFFIX.get(suffix.lower()) if dot else None


def plain_bytes(file: BinaryIO, codec: str, path: str) -> Iterator[bytes]:
    """Yield the plain bytes of a file, which is open at its start.

    Consecutive members, streams or frames are read as one. Zero bytes after the last one are padding.

    Raises:
        DecodingError: The file is damaged or truncated; the message names the byte of the stored file.
    """
    if codec == PLAIN:
        yield from iter(lambda: file.read(_PLAIN_READ_BYTES), b"")
        return
    position, finished = 0, False
    current: Any = None
    while stored := file.read(_READ_BYTES):
        position += len(stored)
        while stored:
            if current is None:
                stored = stored.lstrip(b"\0") if finished else stored
                if not stored:
                    break
                current = _DECOMPRESSORS[codec]()
            try:
                plain = current.decompress(stored)
            except (OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError) as error:
                raise DecodingError(
                    path, position - len(stored), f"the {codec} data is damaged here or soon after ({error})", _ADVICE
                ) from error
            finished = current.eof
            stored = current.unused_data if finished else b""
            current = None if finished else current
            if plain:
                yield plain
    if current is not None:
        raise DecodingError(path, position, f"the {codec} data ends too early", _ADVICE)


def skip(plain: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield a stream without its first `count` bytes."""
    for buffer in plain:
        if count < len(buffer):
            yield buffer[count:] if count else buffer
        count = max(count - len(buffer), 0)
