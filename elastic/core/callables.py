"""Callables: whether a call returns the answer, or only something that must still be run to get it."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import partial, partialmethod
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.transform import name_of


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


def check_plain(role: str, function: object, *, generators: bool = False) -> None:
    """Refuse a function whose call would run nothing of it.

    Args:
        role: Where the function was given, for the error.
        function: A callable; anything else passes.
        generators: Generator functions are as good as plain ones there.

    Raises:
        UsageError: It is async, or a generator function.
    """
    kind = call_kind(function)
    if kind is CallKind.ANSWER or (generators and kind is CallKind.GENERATOR) or not callable(function):
        return
    advice = "return what it yields" if kind is CallKind.GENERATOR else "write it with def, and without await"
    raise UsageError(
        f"{role} got {name_of(function)}, which is {kind}: a call returns at once and runs nothing; {advice}."
    )


def check_methods(role: str, value: object, contract: type) -> None:
    """Refuse an object with a method that overrides one of a contract and whose call would run nothing of it.

    Raises:
        UsageError: A method is async, or a generator function.
    """
    for name in vars(contract):
        if not name.startswith("_"):
            check_plain(f"{role}: method {name}", inspect.getattr_static(type(value), name, None))


def check_class(role: str, kind: type) -> None:
    """Refuse a class whose objects are functions, where the class itself was given in place of an object.

    Raises:
        UsageError: Its objects can be called.
    """
    if any("__call__" in vars(base) for base in kind.__mro__):
        raise UsageError(f"{role} got the class {kind.__name__}, whose objects are called; pass {kind.__name__}(...).")
