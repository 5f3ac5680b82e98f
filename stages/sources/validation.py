"""Checks of source parameters, so that an error is raised where the user made the mistake."""

from collections.abc import Sequence
from typing import Any

from elastic.core.errors import UsageError


def positive_integer(name: str, value: Any) -> int:
    """Return `value` if it is an integer of at least 1.

    Raises:
        UsageError: It is not; the message names the parameter and the value.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} must be a positive integer, not {value!r}.")
    return value


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        UsageError: It is not; the message names the parameter, the value and the choices.
    """
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}.")
    return str(value)


def distinct_names(argument: str, given: Any) -> tuple[str, ...]:
    """Return a user's list of names.

    Raises:
        UsageError: It is not a list, is empty, or has a name twice; the message begins with the argument.
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise UsageError(f"{argument} must be a list of names, not {given!r}.")
    for name in given:
        if not isinstance(name, str):
            raise UsageError(f"{argument} must be names, not {name!r}.")
        if given.count(name) > 1:
            raise UsageError(f"{argument} names {name!r} twice.")
    return tuple(given)
