"""Foreign values: what to do with one that is not plain data, for the error that refuses it."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any

#: What a defaultdict may make by itself.
FACTORIES: dict[str, Callable[[], Any]] = {
    kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, dict, tuple, set, frozenset, Counter)
}

#: What a value of a subclass may be turned into.
_BASES = (dict, list, tuple, set, frozenset, str, int, float, bytes, dt.datetime, dt.date, Decimal)


def advice_on(value: Any) -> str:
    """Return what to do with a value that is refused."""
    kind = type(value)
    if isinstance(value, Enum):
        return "pass its .value, or its .name, and make the member again from it"
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return "pass a dict by value._asdict(), or tuple(value)"
    if hasattr(kind, "__dataclass_fields__"):
        return "pass a dict by dataclasses.asdict(value)"
    if isinstance(value, defaultdict):
        return f"its default_factory must be None or one of {', '.join(sorted(FACTORIES))}; or pass dict(value)"
    base = next((base.__name__ for base in _BASES if isinstance(value, base)), None)
    return f"pass {base}(value)" if base else "turn it into numbers, strings, lists or dicts first"
