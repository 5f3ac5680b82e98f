"""Callables: whether a call runs the function, or returns an object that must still be run."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import partial, partialmethod
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.transform import name_of


class CallKind(StrEnum):
    """Kind of a user's function by the result of a call. Errors print the value of a member."""

    ANSWER = "a plain function"  #: the result itself, as far as the callable shows
    COROUTINE = "an async function"  #: a coroutine: nothing runs before an await
    GENERATOR = "a generator function"  #: a generator: nothing runs before the first iteration
    ASYNC_GENERATOR = "an async generator function"  #: an async generator: nothing runs before the first iteration


#: Tests in order: if `inspect` marks a function twice, the first match counts.
_TESTS: tuple[tuple[Callable[[Any], bool], CallKind], ...] = (
    (inspect.iscoroutinefunction, CallKind.COROUTINE),
    (inspect.isasyncgenfunction, CallKind.ASYNC_GENERATOR),
    (inspect.isgeneratorfunction, CallKind.GENERATOR),
)

#: Layers to unwrap around a function; stops an endless chain of objects with `__call__`.
_MAX_LAYERS = 32


def call_kind(function: object) -> CallKind:
    """Return the kind of a callable, as far as it shows without a call.

    Unwraps `functools.partial`, bound methods, `staticmethod`, `classmethod`, `functools.cache`, and the `__call__`
    of objects. A class counts as a plain function, because a call returns an object. `functools.wraps` is not
    unwrapped, because a wrapper may run the coroutine itself: check the type of the value that the wrapper returns.
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
    """Return the callable to which a callable passes each call, or None if none shows."""
    if isinstance(function, partial | partialmethod):
        return function.func
    if isinstance(function, staticmethod | classmethod) or inspect.ismethod(function):
        return function.__func__
    if hasattr(type(function), "cache_info"):
        return getattr(function, "__wrapped__", None)  # functools.cache and lru_cache, which are written in C
    # For a class, `__call__` is the metaclass's method that makes objects.
    return None if inspect.isroutine(function) else inspect.getattr_static(type(function), "__call__", None)


def check_plain(role: str, function: object, *, generators: bool = False) -> None:
    """Refuse a function whose call would not run its body.

    Args:
        role: Place to which the user passed the function, for the error.
        function: A callable; anything else passes.
        generators: Whether generator functions are allowed there.

    Raises:
        UsageError: The function is async, or a generator function.
    """
    kind = call_kind(function)
    if kind is CallKind.ANSWER or (generators and kind is CallKind.GENERATOR) or not callable(function):
        return
    advice = "return what it yields" if kind is CallKind.GENERATOR else "write it with def, and without await"
    raise UsageError(
        f"{role} got {name_of(function)}, which is {kind}: a call returns at once and runs nothing; {advice}."
    )


def check_methods(role: str, value: object, contract: type) -> None:
    """Refuse an object if a call of a contract method that it overrides would not run the method's body.

    Raises:
        UsageError: A method is async, or a generator function.
    """
    for name in vars(contract):
        if not name.startswith("_"):
            check_plain(f"{role}: method {name}", inspect.getattr_static(type(value), name, None))


def check_class(role: str, kind: type) -> None:
    """Refuse a class passed in place of one of its callable objects.

    Raises:
        UsageError: The objects of the class are callable.
    """
    if any("__call__" in vars(base) for base in kind.__mro__):
        raise UsageError(f"{role} got the class {kind.__name__}, whose objects are called; pass {kind.__name__}(...).")
