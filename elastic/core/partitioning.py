"""Buckets: the 256 parts of a wide state. A key has the same bucket in every process and on every machine."""

import datetime as dt
import struct
import uuid
from collections.abc import Collection, Iterable
from numbers import Number
from operator import itemgetter
from pathlib import PurePath, PureWindowsPath
from typing import Any

import xxhash

from elastic.core.errors import EncodingError
from elastic.core.time_encoding import instant_of
from elastic.core.type_registry import registered_type, write_registered

#: Parts of a wide state. Digests and totals are computed per bucket, so they do not depend on the number of shards. A
#: shard is processed one bucket at a time.
BUCKETS = 256

_DIGEST_BYTES = 8

_first = itemgetter(0)


def buckets_of(keys: Collection[Any], kinds: set[type] | None = None) -> bytes:
    """Return the bucket of each key, one byte each: the first byte of XXH3-64 of the key's canonical bytes.

    Equal keys have the same bucket, even if their types differ.

    Args:
        keys: The keys.
        kinds: The types of the keys, if known.

    Raises:
        EncodingError: A key is not plain data; names its type.
    """
    kinds = set(map(type, keys)) if kinds is None else kinds
    if kinds == {str}:
        try:
            return _hashed(map(str.encode, keys))
        except UnicodeEncodeError:
            pass  # half a surrogate pair, as in names of files
    elif kinds == {bytes}:
        return _hashed(keys)
    elif kinds == {int}:
        hashes = struct.pack(f"<{len(keys)}q", *map(hash, keys))
        return _hashed(map(_first, struct.iter_unpack(f"{_DIGEST_BYTES}s", hashes)))
    return _hashed(map(_bytes_of, keys))


def bucket_of(key: Any) -> int:
    """Return the bucket of one key. Raises as `buckets_of` does."""
    return buckets_of((key,))[0]


def shard_of(bucket: int, shards: int) -> int:
    """Return the shard that has a bucket."""
    return bucket * shards // BUCKETS


def shard_range(shard: int, shards: int) -> range:
    """Return the buckets of a shard."""
    return range(-(-shard * BUCKETS // shards), -(-(shard + 1) * BUCKETS // shards))


def _hashed(parts: Iterable[bytes]) -> bytes:
    # A digest begins with its highest byte, so the buckets are every eighth byte.
    return b"".join(map(xxhash.xxh3_64_digest, parts))[::_DIGEST_BYTES]


def _bytes_of(key: Any) -> bytes:
    """Return bytes that are equal for equal keys. Different keys may have equal bytes too, which is harmless."""
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return bytes(key)
    if key is None or key != key:
        return b"none" if key is None else b"nan"
    if isinstance(key, Number):
        # Python's hash of a number has no seed, and is the same for 1, 1.0, True and Decimal(1).
        return struct.pack("<q", hash(key))
    if isinstance(key, tuple):
        return b"".join([b"tuple", *map(xxhash.xxh3_64_digest, map(_bytes_of, key))])
    if isinstance(key, frozenset):
        return b"".join([b"set", *sorted(map(xxhash.xxh3_64_digest, map(_bytes_of, key)))])
    if type(key).__module__ == "numpy" and hasattr(key, "item") and getattr(key, "ndim", 1) == 0:
        return _bytes_of(key.item())
    return _bytes_of_time(key)


def _hashable(plain: Any) -> Any:
    """Return plain data with tuples and frozensets in place of other containers; equal data gives equal results."""
    if isinstance(plain, dict):
        return frozenset((_hashable(key), _hashable(value)) for key, value in plain.items())
    if isinstance(plain, list | tuple):
        return tuple(map(_hashable, plain))
    return frozenset(map(_hashable, plain)) if isinstance(plain, set | frozenset) else plain


def _bytes_of_time(key: Any) -> bytes:
    if isinstance(key, dt.datetime | dt.time):
        # The same instant in two zones is equal; Python's hash takes the first of two repeated hours.
        return str(instant_of(key.replace(fold=0))).encode()
    if isinstance(key, dt.date | dt.timedelta):
        return str(key).encode()
    if isinstance(key, uuid.UUID):
        return key.bytes
    if isinstance(key, PurePath):
        # Windows does not distinguish upper and lower case.
        text = str(key).lower() if isinstance(key, PureWindowsPath) else str(key)
        return b"path" + text.encode("utf-8", "surrogatepass")
    if registered_type(type(key)) is not None:
        name, plain = write_registered(key)
        return b"".join([b"type", str(name).encode("utf-8", "surrogatepass"), _bytes_of(_hashable(plain))])
    raise EncodingError(f"a key of type {type(key).__name__} is not plain data; map keys to strings or numbers first")
