"""The sketch library: an extra, imported where a sketch is made."""

import importlib
from typing import Any

from elastic.core.encoding import digest
from elastic.core.errors import EncodingError, UsageError

_DIGEST_BYTES = 16


def sketch_library(user: object) -> Any:
    """Return the module `datasketches`.

    Raises:
        UsageError: It is not installed here.
    """
    try:
        return importlib.import_module("datasketches")
    except ImportError as error:
        name = type(user).__name__
        raise UsageError(f"{name} needs datasketches: pip install 'elastic-dataflow[sketches]'") from error


def sealed(sketch: bytes) -> bytes:
    """Return the bytes of a sketch behind their digest: the library may crash on damaged ones."""
    return digest(sketch) + sketch


def unsealed(data: bytes) -> bytes:
    """Return the bytes that `sealed` was given.

    Raises:
        EncodingError: They are damaged.
    """
    sketch = bytes(data[_DIGEST_BYTES:])
    if digest(sketch) != data[:_DIGEST_BYTES]:
        raise EncodingError("the bytes of a sketch are damaged")
    return sketch
