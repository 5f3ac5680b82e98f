"""Numpy arrays as plain data: type, shape and bytes. Numpy is imported only where an array is read."""

import math
import re
from typing import Any

from elastic.core.optional import require

#: Types of elements: numbers, booleans, strings of fixed length, and times, in the notation of numpy
#: (https://numpy.org/doc/stable/reference/arrays.interface.html).
_ELEMENTS = re.compile(r"[<>|](b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,9})|[<>][mM]8(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")


def is_plain_array(value: Any) -> bool:
    """Return whether an array has elements that its bytes describe, unlike objects and records."""
    return value.ndim > 0 and _ELEMENTS.fullmatch(value.dtype.str) is not None


def plain_array(value: Any) -> list[Any]:
    """Return an array as plain data: element type, shape, and bytes in the order of rows."""
    return [value.dtype.str, list(value.shape), value.tobytes()]


def array_of(elements: Any, shape: Any, data: Any) -> Any:
    """Return the array that `plain_array` was given; the caller may change it.

    Raises:
        ValueError: The data does not describe an array.
        UsageError: Numpy is not installed.
    """
    if type(elements) is not str or _ELEMENTS.fullmatch(elements) is None or type(data) is not bytes:
        raise ValueError("not an array")
    if type(shape) is not list or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError("not the shape of an array")
    numpy = require("numpy", extra="", user="a numpy array")
    kind = numpy.dtype(elements)
    if math.prod(shape) * kind.itemsize != len(data):
        raise ValueError("an array is cut short")
    return numpy.frombuffer(bytearray(data), kind).reshape(shape)
