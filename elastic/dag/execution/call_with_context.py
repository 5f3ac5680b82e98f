"""Calls of user functions whose parameters are filled by name from the context."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elastic.dag.context import Context
from elastic.dag.errors import CallError
from elastic.dag.execution.coroutines import function_name, resolve_result

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def call_with_context(
    function: Callable[..., Any],
    context: Context,
    arguments: Sequence[Any] = (),
    named: Mapping[str, Any] | None = None,
) -> Any:
    """Call a function and return its result; a coroutine is run to its end.

    Args:
        function: A parameter called `context` receives the whole context. Any other parameter without an argument
            receives the context value of its name, else its default. `**anything` receives the rest of the context.
        context: The context of the attempt.
        arguments: Positional arguments.
        named: Keyword arguments; they override the context.

    Raises:
        CallError: A parameter has no value.
        UserFunctionError: The function returned a generator, so nothing has run.
    """
    given = dict(named or {})
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some functions written in C have no signature.
        return resolve_result(function(*arguments, **given), function)
    try:
        bound = signature.bind_partial(*arguments, **given)
    except TypeError as error:
        raise CallError(function_name(function), f"other arguments ({error})") from error
    for parameter in signature.parameters.values():
        if parameter.name in bound.arguments:
            continue
        if parameter.kind in _NAMED and parameter.name == "context":
            given["context"] = context
        elif parameter.kind in _NAMED and parameter.name in context:
            given[parameter.name] = context[parameter.name]
        elif parameter.kind in _NAMED and parameter.default is parameter.empty:
            raise CallError(function_name(function), repr(parameter.name))
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        given = {**{name: value for name, value in context.items() if name not in bound.arguments}, **given}
    return resolve_result(function(*arguments, **given), function)
