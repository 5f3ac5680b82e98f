"""Callbacks: user functions that run after an attempt or a run has ended."""

import inspect
import logging
from collections.abc import Iterable

from elastic.dag.context import Context
from elastic.dag.execution.call_with_context import call_with_context
from elastic.dag.execution.coroutines import call_user_function
from elastic.dag.task_settings import Callback

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


def run_callbacks(callbacks: Iterable[Callback], context: Context, log: logging.Logger) -> int:
    """Call each callback, and return the number of failed ones.

    A failure is logged. It changes neither the state of the attempt nor the calls of the other callbacks.

    Args:
        callbacks: Functions whose parameters are filled by name. A single parameter that is not a name of the context
            receives the whole context.
        context: The context of the attempt.
        log: Receives the failures.
    """
    failed = 0
    for callback in callbacks:
        try:
            _call(callback, context)
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and type(error) is not SystemExit:
                # A subclass is a request of Elastic to end this process; the callback did not raise it.
                raise
            failed += 1
            log.exception("the callback %s failed", getattr(callback, "__qualname__", callback))
    return failed


def _call(callback: Callback, context: Context) -> None:
    try:
        parameters = list(inspect.signature(callback).parameters.values())
    except (TypeError, ValueError):
        # Some functions written in C have no signature.
        call_user_function(callback, context)
        return
    known = {"context", *context}
    # Many callbacks are written `def notify(ctx)`.
    unknown = [
        one
        for one in parameters
        if one.kind in _NAMED and one.name not in known and (one.default is one.empty or len(parameters) == 1)
    ]
    if parameters and parameters[0].kind in _BY_POSITION:
        call_with_context(callback, context, [context])
    elif len(unknown) == 1 and "context" not in {one.name for one in parameters}:
        call_with_context(callback, context, named={unknown[0].name: context})
    else:
        call_with_context(callback, context)
