"""NaN as a key: two NaN read from bytes are two keys, and a result would depend on how often it travelled."""

import math
from collections.abc import Collection
from typing import Any


def nan_keys(keys: Collection[Any]) -> list[Any]:
    """Return the float keys that are NaN; they are to become one, `math.nan`."""
    if not any(issubclass(kind, float) for kind in set(map(type, keys))):
        return []
    return [key for key in keys if key != key and isinstance(key, float)]


#: What stands for all of them.
NAN = math.nan
