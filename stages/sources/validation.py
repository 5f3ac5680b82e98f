"""Checks of source parameters, so that an error is raised where the user made the mistake."""

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
