"""How values become bytes and back: msgpack for plain data, zstd frames for what is sent or kept.

Plain data is None, bool, int of any size, float, str, bytes, list, dict, tuple, set, frozenset, Counter, complex,
Decimal, Fraction, UUID, date, time, datetime and timedelta. The list is closed: reading bytes never imports
or calls anything that the bytes name (no pickle). Subclasses of list, tuple, dict, str, int and float are kept as
their plain base, numpy scalars as the Python number.

Formats: https://github.com/msgpack/msgpack/blob/master/spec.md and RFC 8878.
"""

import datetime as dt
import struct
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import msgpack
import xxhash
import zstandard

from elastic.core.errors import EncodingError

#: No frame that opens to more than this is opened (bytes).
MAX_PLAIN_BYTES = 4 << 30

#: What msgpack writes by itself: from here to below there.
_INT64, _UINT64 = -(1 << 63), 1 << 64

#: Level 1: a fifth smaller than nothing costs more time than it saves on one machine, see benchmarks/.
_ZSTD_LEVEL = 1

#: How a frame begins that is not compressed; no zstd frame begins so.
_MAGIC = b"ELPF"
_ENCLOSED = struct.Struct(">4sQQ")

#: Larger data, the state of many keys, is compressed by two threads (bytes): the master waits for it.
_THREADED_BYTES = 8 << 20


# ---------------------------------------------------------------- plain data


def pack(value: Any) -> bytes:
    """Return plain data as bytes.

    Raises:
        EncodingError: `value` holds something that is not plain data; names its type.
    """
    try:
        return _packb(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EncodingError(str(error)) from error


def unpack(data: bytes | memoryview) -> Any:
    """Return the plain data that `pack` was given.

    Raises:
        EncodingError: The bytes are damaged, cut short, or not made by `pack`.
    """
    try:
        # Keys may be any hashable plain data: states map integers and tuples.
        return msgpack.unpackb(
            data, ext_hook=_read_extension, strict_map_key=False, unicode_errors="surrogatepass", raw=False
        )
    except (ValueError, TypeError, RecursionError, ArithmeticError, msgpack.UnpackException) as error:
        raise EncodingError(f"bytes are not encoded data ({type(error).__name__}: {error})") from error


def _packb(value: Any) -> bytes:
    packed: bytes
    try:
        packed = msgpack.packb(value, default=_write_extension, strict_types=True, use_bin_type=True)
    except UnicodeEncodeError:
        # Half a surrogate pair. To allow for it at once would cost texts without one half of the time.
        packed = msgpack.packb(
            value, default=_write_extension, strict_types=True, unicode_errors="surrogatepass", use_bin_type=True
        )
    return packed


def _write_extension(value: Any) -> Any:
    """Return what msgpack should write for a value that it does not know."""
    code = _CODES.get(type(value))
    if code is not None:
        return msgpack.ExtType(code, _WRITERS[code](value))
    for base, plain in _PLAIN_BASES:
        if isinstance(value, base):
            # msgpack asks only once: what it would not know of the base either is written here.
            is_unknown = base is tuple or (isinstance(value, int) and not _INT64 <= value < _UINT64)
            return _write_extension(plain(value)) if is_unknown else plain(value)
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    raise TypeError(
        f"{type(value).__module__}.{type(value).__qualname__} is not plain data and cannot be sent or kept; "
        "turn it into numbers, strings, lists or dicts first"
    )


def _read_extension(code: int, data: bytes) -> Any:
    reader = _READERS.get(code)
    if reader is None:
        raise ValueError(f"unknown extension type {code}")
    return reader(data)


def _write_wide(value: int) -> bytes:
    """Write an integer beyond 64 bits; msgpack hands over only those."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _pack_items(value: Iterable[Any]) -> bytes:
    return pack(list(value))


def _sorted_items(value: Iterable[Any]) -> bytes:
    """Pack a set so that equal sets give equal bytes."""
    packed = sorted(map(pack, value))
    return b"".join([msgpack.Packer().pack_array_header(len(packed)), *packed])


def _ascii(value: Any) -> bytes:
    return str(value).encode()


def _of_text(make: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: make(data.decode())


def _fraction(numerator: int, denominator: int) -> Fraction:
    # Numbers only: as text it could name a power that takes for ever to compute.
    if type(numerator) is not int or type(denominator) is not int or denominator < 1:
        raise ValueError("not a fraction")
    return Fraction(numerator, denominator)


def _write_time(value: dt.datetime | dt.time) -> bytes:
    """Write an ISO text; the fold is a number behind it, because ISO has no place for it."""
    return f"{value.isoformat()}|{value.fold}".encode()


def _read_datetime(data: bytes) -> dt.datetime:
    text, fold = data.decode().split("|")
    return dt.datetime.fromisoformat(text).replace(fold=int(fold))


def _read_time(data: bytes) -> dt.time:
    text, fold = data.decode().split("|")
    return dt.time.fromisoformat(text).replace(fold=int(fold))


#: code -> (type, writer, reader); codes are part of the format on disk and never change their meaning
_EXTENSIONS: dict[int, tuple[type, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    1: (tuple, _pack_items, lambda data: tuple(unpack(data))),
    2: (set, _sorted_items, lambda data: set(unpack(data))),
    3: (frozenset, _sorted_items, lambda data: frozenset(unpack(data))),
    4: (int, _write_wide, lambda data: int.from_bytes(data, "big", signed=True)),
    5: (dt.datetime, _write_time, _read_datetime),
    6: (dt.date, lambda value: value.isoformat().encode(), _of_text(dt.date.fromisoformat)),
    7: (dt.time, _write_time, _read_time),
    8: (
        dt.timedelta,
        lambda value: pack([value.days, value.seconds, value.microseconds]),
        lambda data: dt.timedelta(*unpack(data)),
    ),
    9: (Decimal, _ascii, _of_text(Decimal)),
    10: (complex, lambda value: pack([value.real, value.imag]), lambda data: complex(*unpack(data))),
    11: (Fraction, lambda value: pack([value.numerator, value.denominator]), lambda data: _fraction(*unpack(data))),
    12: (uuid.UUID, lambda value: value.bytes, lambda data: uuid.UUID(bytes=data)),
    13: (Counter, lambda value: pack(dict(value)), lambda data: Counter(unpack(data))),
}
_CODES = {kind: code for code, (kind, _, _) in _EXTENSIONS.items()}
_WRITERS = {code: write for code, (_, write, _) in _EXTENSIONS.items()}
_READERS = {code: read for code, (_, _, read) in _EXTENSIONS.items()}
_PLAIN_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (dict, dict),
    (list, list),
    (tuple, tuple),
    (str, str.__str__),  # not `str`, which asks an Enum for its name
    (int, int),
    (float, float),
    (bytes, bytes),
    (bytearray, bytes),
    (memoryview, bytes),
)


# ---------------------------------------------------------------- frames


def compress(plain: bytes) -> bytes:
    """Return one zstd frame with size and checksum."""
    threads = 2 if len(plain) > _THREADED_BYTES else 0
    compressor = zstandard.ZstdCompressor(
        level=_ZSTD_LEVEL, threads=threads, write_checksum=True, write_content_size=True
    )
    return compressor.compress(plain)


def enclose(plain: bytes) -> bytes:
    """Return a frame that holds the bytes as they are: magic, size, XXH3-64, and then they."""
    return _ENCLOSED.pack(_MAGIC, len(plain), xxhash.xxh3_64_intdigest(plain)) + plain


def framer(*, compressed: bool) -> Callable[[bytes], bytes]:
    """Return `compress` or `enclose`; `decompress` opens the frames of both."""
    return compress if compressed else enclose


def decompress(frame: bytes | memoryview, *, limit: int = MAX_PLAIN_BYTES) -> bytes:
    """Return what one frame holds.

    The size in the header is checked before anything is allocated and again while reading, because the library's
    own limits do not hold for every kind of frame; trailing bytes are refused.

    Raises:
        EncodingError: The frame is damaged, has no size, is larger than `limit` bytes, or something follows it.
    """
    if frame[:4] == _MAGIC:
        return _disclosed(frame, limit)
    try:
        size = zstandard.frame_content_size(frame)
        if size < 0 or size > limit:
            raise EncodingError(f"a frame of {size} bytes is refused (at most {limit} are opened)")
        opener = zstandard.ZstdDecompressor().decompressobj(write_size=max(1, min(size, 1 << 20)))
        plain: bytes = opener.decompress(frame)
    except zstandard.ZstdError as error:
        raise EncodingError(f"a frame is damaged ({error})") from error
    if not opener.eof or opener.unused_data or len(plain) != size:
        raise EncodingError("a frame is cut short or something follows it")
    return plain


def _disclosed(frame: bytes | memoryview, limit: int) -> bytes:
    if len(frame) < _ENCLOSED.size:
        raise EncodingError("a frame is cut short or something follows it")
    _, size, checksum = _ENCLOSED.unpack_from(frame)
    if size > limit:
        raise EncodingError(f"a frame of {size} bytes is refused (at most {limit} are opened)")
    plain = bytes(frame[_ENCLOSED.size :])
    if len(plain) != size:
        raise EncodingError("a frame is cut short or something follows it")
    if xxhash.xxh3_64_intdigest(plain) != checksum:
        raise EncodingError("a frame is damaged (its checksum is another)")
    return plain


def digest(data: bytes | memoryview) -> bytes:
    """Return BLAKE2b-128 (RFC 7693) of durable data."""
    return blake2b(data, digest_size=16).digest()
