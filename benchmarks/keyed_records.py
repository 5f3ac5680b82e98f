"""Records with many different keys, the same for everybody: in Python one after another, or as columns of numpy."""

from collections.abc import Iterator
from functools import cache
from typing import Any

CHUNKS = 200

#: Of a generator that gives each number below a modulus, whose primes are 2 and 5, once before it repeats itself.
_FACTOR, _SUMMAND, _FIRST = 1_234_561, 987_651, 42


def records(size: int, chunk: int) -> Iterator[tuple[str, int]]:
    """Yield the (key, value) records of a chunk; in all chunks there are `size`, and each key comes twice."""
    keys, each = size // 2, size // CHUNKS
    key = _key(chunk * each, keys)
    for number in range(each):
        yield f"k{key}", (key + number) & 1023
        key = (_FACTOR * key + _SUMMAND) % keys


def columns(size: int, chunk: int) -> tuple[Any, Any]:
    """Return the same records as two numpy columns: the numbers in the keys, and values."""
    import numpy

    keys, each = size // 2, size // CHUNKS
    factors, summands = _jumps(each, keys)
    key = (factors * _key(chunk * each, keys) + summands) % keys
    return key, (key + numpy.arange(each)) & 1023


def _key(number: int, keys: int) -> int:
    factor, summand = _jump(number, keys)
    return (factor * _FIRST + summand) % keys


def _jump(steps: int, keys: int) -> tuple[int, int]:
    """Return the factor and the summand of that many steps in one."""
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
