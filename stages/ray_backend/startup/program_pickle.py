"""How a program is pickled for workers on Ray: as cloudpickle does, and with functions that keep their results."""

import functools
import io
from typing import Any

from ray import cloudpickle

#: The type of what `functools.cache` and `lru_cache` return.
_CACHED = type(functools.cache(lambda: None))


#: Ray ships no types of it.
_CloudPickler: Any = cloudpickle.CloudPickler


class _Pickler(_CloudPickler):  # type: ignore[misc]
    """Sends a cached function with the function in it, where a worker could not import it by its name."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is _CACHED:
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def pickled_program(value: Any) -> bytes:
    """Return a value as `cloudpickle.loads` reads it."""
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


def can_pickle(value: Any) -> bool:
    """Tell whether a value can be sent."""
    try:
        pickled_program(value)
    except Exception:
        return False
    return True


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)
