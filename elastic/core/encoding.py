"""Encoding of values as bytes: msgpack for plain data, zstd frames for sent and stored bytes.

Plain data is None, bool, int of any size, float, str, bytes, list, dict, OrderedDict, defaultdict, tuple, set,
frozenset, Counter, complex, Decimal, Fraction, UUID, date, time, datetime, timedelta, paths, numpy arrays of numbers,
and the raw record of a dead letter. The list is closed: reading bytes never imports or calls anything that the bytes
name (no pickle). Values of other classes are refused by the name of their class, unless `register_type` has registered
it. So are subclasses of these (named tuples, enums): encoding them as their base would change the value silently. Numpy
scalars become the Python value, bytearray and memoryview bytes.

Times keep their zone: `zoneinfo.ZoneInfo` by its name, `datetime.timezone` with its offset and name. Fixed offsets of
other libraries become `datetime.timezone`; their other zones are refused.

Containers may nest `MAX_DEPTH` levels deep; lists and dicts alone, 500.

Formats: https://github.com/msgpack/msgpack/blob/master/spec.md and RFC 8878.
"""

import datetime as dt
import os
import struct
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any

import msgpack
import xxhash
import zstandard

from elastic.core.errors import EncodingError
from elastic.core.lazy_counter import LazyCounter
from elastic.core.model.bad_record import RawRecord
from elastic.core.model.folder_column import FOLDER_TYPES, FolderColumn
from elastic.core.numpy_arrays import array_of, is_plain_array, plain_array
from elastic.core.time_encoding import has_plain_offset, read_datetime, read_time, read_zoned, write_time, write_zoned
from elastic.core.type_registry import read_registered, registered_type, write_registered

#: Default factories that a defaultdict may have, by name.
FACTORIES: dict[str, Callable[[], Any]] = {
    kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, dict, tuple, set, frozenset, Counter)
}

#: Types that the advice on a subclass suggests.
_BASES = (dict, list, tuple, set, frozenset, str, int, float, bytes, dt.datetime, dt.date, Decimal)


_REGISTER = "or register the class by elastic.register_type"


def advice_on(value: Any) -> str:
    """Return advice on a value that the encoder refuses."""
    kind = type(value)
    if isinstance(value, Enum):
        return f"pass its .value, or its .name, and make the member again from it; {_REGISTER}"
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return f"pass a dict by value._asdict(), or tuple(value); {_REGISTER}"
    if hasattr(kind, "__dataclass_fields__"):
        return f"pass a dict by dataclasses.asdict(value); {_REGISTER}"
    if isinstance(value, defaultdict):
        return f"its default_factory must be None or one of {', '.join(sorted(FACTORIES))}; or pass dict(value)"
    base = next((base.__name__ for base in _BASES if isinstance(value, base)), None)
    return f"pass {base}(value)" if base else f"turn it into numbers, strings, lists or dicts first; {_REGISTER}"


#: Maximum nesting of containers. A level takes 1 to 2 kB of the C stack to write and to read, so this number fits into
#: the smallest stack of a thread.
MAX_DEPTH = 100

#: Levels of extensions that `msgpack.unpackb` reads: it is faster, but takes 40 kB of the stack.
_FAST_LEVELS = 3

#: Level of extensions from which the writer counts all containers. Above it msgpack counts those that it writes.
_COUNTED_LEVEL = 3

#: Keys may be any hashable plain data: states map integers and tuples.
_OPTIONS: dict[str, Any] = {"strict_map_key": False, "unicode_errors": "surrogatepass", "raw": False}

#: Maximum decompressed size of a frame (bytes).
MAX_PLAIN_BYTES = 4 << 30

#: Integers that msgpack writes itself: from the first to below the second.
_INT64, _UINT64 = -(1 << 63), 1 << 64

#: Maximum number of values that the search for the place of one value holds.
_MAX_WAITING = 1_000_000

#: Level 1: higher levels cost more time than their smaller frames save on one machine (see benchmarks/).
_ZSTD_LEVEL = 1

#: First bytes of an uncompressed frame; no zstd frame begins with them.
_MAGIC = b"ELPF"
_ENCLOSED = struct.Struct(">4sQQ")

#: Size above which two threads compress (bytes): the master waits for the state of many keys.
_THREADED_BYTES = 8 << 20


#: Hook of msgpack that writes a value of a type that msgpack does not know.
Write = Callable[[Any], Any]
#: Function that decodes bytes.
Unpack = Callable[[bytes | memoryview], Any]


# ---------------------------------------------------------------- plain data


def pack(value: Any) -> bytes:
    """Return plain data as bytes.

    Raises:
        EncodingError: A value is not plain data, or containers nest too deep; the message names the type.
    """
    try:
        return _packb(value, _WRITE)
    except EncodingError:
        raise
    except _NotPlainError as error:
        raise EncodingError(error.message(value)) from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if _is_deep(value):
            raise _too_deep(value) from error
        raise EncodingError(str(error)) from error


def unpack(data: bytes | memoryview) -> Any:
    """Return the plain data that `pack` encoded.

    Raises:
        EncodingError: The bytes are damaged, cut short, or not made by `pack`.
    """
    try:
        return _UNPACK(data)
    except EncodingError:
        raise
    except (ValueError, TypeError, RecursionError, ArithmeticError, msgpack.UnpackException) as error:
        raise EncodingError(f"bytes are not encoded data ({type(error).__name__}: {error})") from error


class _NotPlainError(TypeError):
    """A value is not plain data. Never leaves this module."""

    def message(self, whole: Any) -> str:
        """Return the message for a value that is in `whole`, which names its place."""
        (value,) = self.args
        place, kind = _place_in(whole, value), type(value)
        shown = f" (at {place})" if place else ""
        return (
            f"{kind.__module__}.{kind.__qualname__} is not plain data and cannot be sent or kept{shown}; "
            f"{advice_on(value)}"
        )


def _place_in(whole: Any, wanted: Any) -> str | None:
    """Return the place of a value in nested containers, such as `[3]['price']`; None if it is not found."""
    waiting: list[tuple[str, Any]] = [("", whole)]
    while waiting:
        place, value = waiting.pop()
        if value is wanted:
            return place
        if len(waiting) > _MAX_WAITING:
            return None
        if isinstance(value, dict):
            waiting += [(f"{place}[{key!r:.100}]", item) for key, item in reversed(value.items())]
        elif isinstance(value, list | tuple):
            waiting += [(f"{place}[{index}]", item) for index, item in reversed(list(enumerate(value)))]
    return None


def _packb(value: Any, write: Write) -> bytes:
    packed: bytes
    try:
        packed = msgpack.packb(value, default=write, strict_types=True, use_bin_type=True)
    except UnicodeEncodeError:
        # Half a surrogate pair. Allowing for it in the first call would cost other strings half of the time.
        packed = msgpack.packb(
            value, default=write, strict_types=True, unicode_errors="surrogatepass", use_bin_type=True
        )
    return packed


def _writer(depth: int, below: Write | None) -> Write:
    """Return the hook that writes the values at a level of extensions.

    Args:
        depth: Number of extensions around the value.
        below: The hook of the next level; None at the deepest level.
    """
    is_counted = depth + 1 == _COUNTED_LEVEL

    def write(value: Any) -> Any:
        kind = type(value)
        container = _CONTAINER_WRITERS.get(kind)
        if container is None and registered_type(kind) is not None:
            container = _REGISTERED, _pack_registered
        if container is None:
            return _write_scalar(value)
        if below is None or (is_counted and _is_deep(value)):
            raise _too_deep(value)
        code, items = container
        return msgpack.ExtType(code, items(value, below))

    return write


def _reader(below: Unpack) -> Callable[[int, bytes], Any]:
    """Return the hook that reads extensions; `below` decodes the bytes of containers."""

    def read(code: int, data: bytes) -> Any:
        container = _CONTAINER_READERS.get(code)
        if container is not None:
            return container(below(data))
        reader = _READERS.get(code)
        if reader is None:
            raise ValueError(f"unknown extension type {code}")
        return reader(data)

    return read


def _opener(depth: int, below: Unpack) -> Unpack:
    """Return the function that decodes bytes inside `depth` extensions; `below` decodes the next level."""
    read = _reader(below)

    def unpack_on_the_stack(data: bytes | memoryview) -> Any:
        # The options are written out: unpacking _OPTIONS takes as long as reading a small tuple.
        return msgpack.unpackb(data, ext_hook=read, strict_map_key=False, unicode_errors="surrogatepass", raw=False)

    def unpack_on_the_heap(data: bytes | memoryview) -> Any:
        unpacker = msgpack.Unpacker(ext_hook=read, max_buffer_size=len(data), read_size=1, **_OPTIONS)
        unpacker.feed(data)
        value = unpacker.unpack()
        if unpacker.tell() != len(data):
            raise ValueError("something follows")
        return value

    return unpack_on_the_stack if depth < _FAST_LEVELS else unpack_on_the_heap


def _refuse_deeper(data: bytes | memoryview) -> Any:
    raise EncodingError(f"bytes nest more than {MAX_DEPTH} tuples and sets in one another, and are not read")


def _write_scalar(value: Any) -> Any:
    """Return the value or extension that msgpack writes for a scalar of a type that it does not know."""
    code = _CODES.get(type(value))
    if code is None:
        return _plain_scalar(value)
    if code in _ZONED and not has_plain_offset(value.tzinfo):
        code = _ZONED[code]
    return msgpack.ExtType(code, _WRITERS[code](value))


def _plain_scalar(value: Any) -> Any:
    """Return the Python value of a numpy scalar.

    Raises:
        TypeError: The value is not a numpy scalar; the message has its type and advice.
    """
    kind = type(value)
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and is_plain_array(value):
        return msgpack.ExtType(_ARRAY, pack(plain_array(value)))
    if kind.__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        # Times are refused: the item of a time in nanoseconds is an integer.
        plain = None if kind.__name__ in ("datetime64", "timedelta64") else value.item()
        if type(plain) in _SCALARS:
            return msgpack.ExtType(_CODES[complex], _write_complex(plain)) if type(plain) is complex else plain
    raise _NotPlainError(value)


def _is_deep(value: Any) -> bool:
    """Return whether containers nest deeper than `MAX_DEPTH`."""
    level = [value]
    for _ in range(MAX_DEPTH):
        dicts = [one for one in level if isinstance(one, dict)]
        others = [one for one in level if isinstance(one, _COLLECTIONS)]
        if not dicts and not others:
            return False
        # Each container once, because a list may contain itself several times.
        level = list({id(one): one for one in chain(*others, *dicts, *(one.values() for one in dicts))}.values())
    return True


def _too_deep(value: Any) -> EncodingError:
    return EncodingError(
        f"a {type(value).__name__} nests more than {MAX_DEPTH} containers in one another, or itself, and cannot be "
        "sent or kept; flatten it first"
    )


def _write_wide(value: int) -> bytes:
    """Write an integer beyond 64 bits; msgpack calls the hook only for those."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _pack_items(value: Iterable[Any], write: Write) -> bytes:
    return _packb(list(value), write)


def _sorted_items(value: Iterable[Any], write: Write) -> bytes:
    """Pack a set so that equal sets give equal bytes."""
    packed = sorted(_packb(item, write) for item in value)
    return b"".join([msgpack.Packer().pack_array_header(len(packed)), *packed])


def _pack_dict(value: dict[Any, Any], write: Write) -> bytes:
    return _packb(dict(value), write)


def _pack_registered(value: Any, write: Write) -> bytes:
    return _packb(write_registered(value), write)


def _pack_defaultdict(value: defaultdict[Any, Any], write: Write) -> bytes:
    factory = value.default_factory
    name = "" if factory is None else getattr(factory, "__name__", "?")
    if factory is not None and FACTORIES.get(name) is not factory:
        raise TypeError(f"a defaultdict of {factory!r} cannot be sent or kept; {advice_on(value)}")
    return _packb([name, dict(value)], write)


def _read_defaultdict(plain: Any) -> defaultdict[Any, Any]:
    name, items = plain
    if name and name not in FACTORIES:
        raise ValueError(f"unknown default_factory {name!r}")
    return defaultdict(FACTORIES[name] if name else None, items)


def _write_complex(value: complex) -> bytes:
    return pack([value.real, value.imag])


def _ascii(value: Any) -> bytes:
    return str(value).encode()


def _of_text(make: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: make(data.decode())


def _fraction(numerator: int, denominator: int) -> Fraction:
    # Numbers only: a string could contain a power that takes forever to compute.
    if type(numerator) is not int or type(denominator) is not int or denominator < 1:
        raise ValueError("not a fraction")
    return Fraction(numerator, denominator)


def _write_raw_record(value: RawRecord) -> bytes:
    columns = [[list(column) for column in value.columns]] if value.columns else []
    return pack([value.data, list(value.source) or None, *value.fields, *columns])


def _raw_record(data: Any, source: Any, *fields: Any) -> RawRecord:
    # Before concatenations could be nested, the source was one number or None.
    numbers = source if type(source) is list else [] if source is None else [source]
    columns: tuple[FolderColumn, ...] = ()
    if fields and type(fields[-1]) is list:
        columns, fields = tuple(map(_folder_column, fields[-1])), fields[:-1]
    if type(data) is not bytes or not set(map(type, numbers)) <= {int} or not set(map(type, fields)) <= {str}:
        raise ValueError("not a raw record")
    return RawRecord(data, fields, tuple(numbers), columns)


def _folder_column(column: Any) -> FolderColumn:
    name, text, kind = column if type(column) is list and len(column) == 3 else (None, None, None)
    if type(name) is not str or not (text is None or type(text) is str) or kind not in FOLDER_TYPES:
        raise ValueError("not a raw record")
    return FolderColumn(name, text, kind)


def _path(name: Any, text: Any) -> PurePath:
    if name not in _PATHS or type(text) is not str:
        raise ValueError("not a path")
    return _PATHS[name](text)


def _write_path(value: PurePath) -> bytes:
    return pack([type(value).__name__, str(value)])


#: Classes of paths by their names; a path of another system becomes a pure path.
_PATHS: dict[str, Callable[[str], PurePath]] = {
    "PosixPath": PosixPath if os.name == "posix" else PurePosixPath,
    "WindowsPath": WindowsPath if os.name == "nt" else PureWindowsPath,
    "PurePosixPath": PurePosixPath,
    "PureWindowsPath": PureWindowsPath,
}
#: Codes of values whose type is not a key of the tables below.
_REGISTERED, _ARRAY = 20, 21

#: code -> (type, writer, reader); codes are part of the format on disk and never change their meaning
_EXTENSIONS: dict[int, tuple[type, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    4: (int, _write_wide, lambda data: int.from_bytes(data, "big", signed=True)),
    5: (dt.datetime, write_time, read_datetime),
    6: (dt.date, lambda value: value.isoformat().encode(), _of_text(dt.date.fromisoformat)),
    7: (dt.time, write_time, read_time),
    8: (
        dt.timedelta,
        lambda value: pack([value.days, value.seconds, value.microseconds]),
        lambda data: dt.timedelta(*unpack(data)),
    ),
    9: (Decimal, _ascii, _of_text(Decimal)),
    10: (complex, _write_complex, lambda data: complex(*unpack(data))),
    11: (Fraction, lambda value: pack([value.numerator, value.denominator]), lambda data: _fraction(*unpack(data))),
    12: (uuid.UUID, lambda value: value.bytes, lambda data: uuid.UUID(bytes=data)),
    18: (
        RawRecord,
        _write_raw_record,
        lambda data: _raw_record(*unpack(data)),
    ),
}
#: The same for containers: a writer also gets the hook for the items that msgpack does not know, and a reader gets
#: decoded data.
_CONTAINERS: dict[int, tuple[type, Callable[[Any, Write], bytes], Callable[[Any], Any]]] = {
    1: (tuple, _pack_items, tuple),
    2: (set, _sorted_items, set),
    3: (frozenset, _sorted_items, frozenset),
    13: (Counter, _pack_dict, Counter),
    16: (OrderedDict, _pack_dict, OrderedDict),
    17: (defaultdict, _pack_defaultdict, _read_defaultdict),
}
#: Code of paths.
_PATH = 19
#: Codes of times whose zone has a name, by the codes of times without.
_ZONED = {5: 14, 7: 15}
_CODES = {kind: code for code, (kind, _, _) in _EXTENSIONS.items()} | dict.fromkeys(
    (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath), _PATH
)
_WRITERS = {code: write for code, (_, write, _) in _EXTENSIONS.items()} | dict.fromkeys(_ZONED.values(), write_zoned)
_WRITERS[_PATH] = _write_path
_READERS = {code: read for code, (_, _, read) in _EXTENSIONS.items()} | {
    14: partial(read_zoned, dt.datetime),
    15: partial(read_zoned, dt.time),
    _PATH: lambda data: _path(*unpack(data)),
    _ARRAY: lambda data: array_of(*unpack(data)),
}
_CONTAINER_WRITERS = {kind: (code, write) for code, (kind, write, _) in _CONTAINERS.items()}
_CONTAINER_WRITERS[LazyCounter] = _CONTAINER_WRITERS[Counter]
_CONTAINER_READERS = {code: read for code, (_, _, read) in _CONTAINERS.items()} | {_REGISTERED: read_registered}
#: Python types of numpy scalars that are plain data.
_SCALARS = {bool, int, float, complex, str, bytes}
_COLLECTIONS = (list, tuple, set, frozenset)
#: Built from the innermost level outward, because each level uses the next deeper one.
_WRITE = _writer(MAX_DEPTH, None)
_UNPACK: Unpack = _refuse_deeper
for _depth in reversed(range(MAX_DEPTH + 1)):
    _UNPACK = _opener(_depth, _UNPACK)
    if _depth < MAX_DEPTH:
        _WRITE = _writer(_depth, _WRITE)


# ---------------------------------------------------------------- frames


def compress(plain: bytes) -> bytes:
    """Return one zstd frame with size and checksum."""
    threads = 2 if len(plain) > _THREADED_BYTES else 0
    compressor = zstandard.ZstdCompressor(
        level=_ZSTD_LEVEL, threads=threads, write_checksum=True, write_content_size=True
    )
    return compressor.compress(plain)


def enclose(plain: bytes) -> bytes:
    """Return an uncompressed frame: magic, size, XXH3-64, and the bytes."""
    return _ENCLOSED.pack(_MAGIC, len(plain), xxhash.xxh3_64_intdigest(plain)) + plain


def framer(*, compressed: bool) -> Callable[[bytes], bytes]:
    """Return `compress` or `enclose`; `decompress` opens the frames of both."""
    return compress if compressed else enclose


def decompress(frame: bytes | memoryview, *, limit: int = MAX_PLAIN_BYTES) -> bytes:
    """Return the content of one frame.

    Checks the size in the header before allocating memory, and again while reading, because the library's own limits
    do not hold for every kind of frame. Refuses trailing bytes.

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
        raise EncodingError("a frame is damaged (its checksum differs)")
    return plain


def digest(data: bytes | memoryview) -> bytes:
    """Return BLAKE2b-128 (RFC 7693) of durable data."""
    return blake2b(data, digest_size=16).digest()


def content_digest(block: bytes) -> bytes:
    """Return XXH3-128 of a block (https://github.com/Cyan4973/xxHash).

    The digest shows that a source returned other bytes the second time; it does not withstand an attacker who makes
    collisions. The receipts around it use keyed BLAKE2b, which over whole blocks would take a tenth of the time of a
    word count.
    """
    return xxhash.xxh3_128_digest(block)
