"""NaN as a key: two NaN read from bytes are two keys, and a result would depend on how often it travelled."""

import math
from collections.abc import Iterable
from typing import Any


def nan_keys(keys: Iterable[Any]) -> list[Any]:
    """Return the float keys that are NaN; they are to become one, `math.nan`."""
    return [key for key in keys if key != key and isinstance(key, float)]


#: What stands for all of them.
NAN = math.nan
