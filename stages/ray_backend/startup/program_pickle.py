"""Pickling of programs for Ray workers: cloudpickle, plus functions with a cache."""

import functools
import io
from typing import Any

from ray import cloudpickle

#: Type of the functions that `functools.cache` and `lru_cache` return.
_CACHED_FUNCTION = type(functools.cache(lambda: None))


#: Untyped, because Ray ships no type hints for it.
_CloudPickler: Any = cloudpickle.CloudPickler


class _Pickler(_CloudPickler):  # type: ignore[misc]
    """Pickles a cached function by value if a worker could not import it by name."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is _CACHED_FUNCTION:
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def pickled_program(value: Any) -> bytes:
    """Return a value pickled for `cloudpickle.loads`."""
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


def can_pickle(value: Any) -> bool:
    """Return whether a value can be pickled for a worker."""
    try:
        pickled_program(value)
    except Exception:
        return False
    return True


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)
