"""Callables: whether a call returns the answer, or only something that must still be run to get it."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import partial, partialmethod
from typing import Any


class CallKind(StrEnum):
    """What a call of a user's function returns; the value of a member names such a function in an error."""

    ANSWER = "a plain function"  #: the answer itself, as far as the callable shows
    COROUTINE = "an async function"  #: a coroutine: nothing has run before it is awaited
    GENERATOR = "a generator function"  #: a generator: nothing has run before it is iterated
    ASYNC_GENERATOR = "an async generator function"  #: an async generator: as both of them


#: In this order, because only the first matches a function that `inspect` marks twice.
_TESTS: tuple[tuple[Callable[[Any], bool], CallKind], ...] = (
    (inspect.iscoroutinefunction, CallKind.COROUTINE),
    (inspect.isasyncgenfunction, CallKind.ASYNC_GENERATOR),
    (inspect.isgeneratorfunction, CallKind.GENERATOR),
)

#: Layers around a function that are looked through; an endless chain of objects with `__call__` ends here.
_MAX_LAYERS = 32


def call_kind(function: object) -> CallKind:
    """Return what a call of a callable returns, as far as it shows without a call.

    This looks through `functools.partial`, bound methods, `staticmethod`, `classmethod`, `functools.cache`, and the
    `__call__` of objects. A class is a plain function here: a call of it returns an object. It does not look
    through `functools.wraps`, because a wrapper may run the coroutine itself; check the type of the value that such
    a function returns.
    """
    for _ in range(_MAX_LAYERS):
        for test, kind in _TESTS:
            if test(function):
                return kind
        inner = _inner(function)
        if inner is None:
            break
        function = inner
    return CallKind.ANSWER


def _inner(function: Any) -> Any:
    """Return the callable that a callable passes each call to; None when there is none that shows."""
    if isinstance(function, partial | partialmethod):
        return function.func
    if isinstance(function, staticmethod | classmethod) or inspect.ismethod(function):
        return function.__func__
    if hasattr(type(function), "cache_info"):
        return getattr(function, "__wrapped__", None)  # functools.cache and lru_cache, which are written in C
    # Of a class this is how its metaclass makes objects.
    return None if inspect.isroutine(function) else inspect.getattr_static(type(function), "__call__", None)
