"""Records with many different keys, the same for all contenders: as Python tuples or as numpy columns."""

from collections.abc import Iterator
from functools import cache
from typing import Any

CHUNKS = 200

#: Constants of a linear congruential generator with full period; the prime factors of its modulus are 2 and 5.
_FACTOR, _SUMMAND, _FIRST = 1_234_561, 987_651, 42


def records(size: int, chunk: int) -> Iterator[tuple[str, int]]:
    """Yield the (key, value) records of a chunk; all chunks have `size` records, and each key occurs twice."""
    keys, each = size // 2, size // CHUNKS
    key = _key(chunk * each, keys)
    for number in range(each):
        yield f"k{key}", (key + number) & 1023
        key = (_FACTOR * key + _SUMMAND) % keys


def columns(size: int, chunk: int) -> tuple[Any, Any]:
    """Return the same records as two numpy columns: the numbers of the keys, and the values."""
    import numpy

    keys, each = size // 2, size // CHUNKS
    factors, summands = _jumps(each, keys)
    key = (factors * _key(chunk * each, keys) + summands) % keys
    return key, (key + numpy.arange(each)) & 1023


def _key(number: int, keys: int) -> int:
    factor, summand = _jump(number, keys)
    return (factor * _FIRST + summand) % keys


def _jump(steps: int, keys: int) -> tuple[int, int]:
    """Return the multiplier and the increment of several steps combined."""
    factor, summand, all_factor, all_summand = _FACTOR, _SUMMAND, 1, 0
    while steps:
        if steps & 1:
            all_factor, all_summand = factor * all_factor % keys, (factor * all_summand + summand) % keys
        factor, summand = factor * factor % keys, (factor * summand + summand) % keys
        steps >>= 1
    return all_factor, all_summand


@cache
def _jumps(steps: int, keys: int) -> Any:
    import numpy

    return numpy.array([_jump(number, keys) for number in range(steps)], dtype=numpy.int64).T
