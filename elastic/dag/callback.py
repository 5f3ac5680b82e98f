"""Callbacks: functions of the user that are told how an attempt or a run ended."""

import inspect
import logging
from collections.abc import Iterable

from elastic.dag.answer import called
from elastic.dag.call import call_by_name
from elastic.dag.context import Context
from elastic.dag.setting import Callback


def call_back(callbacks: Iterable[Callback], context: Context, log: logging.Logger) -> int:
    """Call each callback, and return how many of them failed.

    One that fails is logged and changes nothing: neither how the attempt ended, nor whether the others are called.

    Args:
        callbacks: Their parameters are filled by name; one parameter of another name gets the whole context.
        context: The context of the attempt.
        log: Where failures go.
    """
    failed = 0
    for callback in callbacks:
        try:
            _call(callback, context)
        except Exception:
            failed += 1
            log.exception("the callback %s failed", getattr(callback, "__qualname__", callback))
    return failed


def _call(callback: Callback, context: Context) -> None:
    parameters = list(inspect.signature(callback).parameters.values())
    # Many callbacks are written `def tell(ctx)`: one parameter whose name says nothing.
    only = parameters[0] if len(parameters) == 1 else None
    if only and only.kind is only.POSITIONAL_OR_KEYWORD and only.name not in {"context", *context}:
        called(callback, context)
    else:
        call_by_name(callback, context)
