"""Actions: units of work before and after the main work of a task."""

import logging
from typing import Any, Self

from elastic.dag.context import Context
from elastic.dag.errors import ContextMissingError
from elastic.dag.execution.coroutines import call_user_function
from elastic.dag.ids import check_key


class Action:
    """Unit of work that can be undone. Subclasses override `run`, and `rollback` if the work can be undone.

    Each attempt of a task works on a deep copy, so attributes set by an action are local to the attempt. Elastic calls
    `set_context`, then `do` (which calls `run`), then `rollback` if later work failed, and always `cleanup` once at the
    end.

    Args:
        name: A key; log lines of the action contain it.
        skip: Do nothing and count as complete.
        arguments: Arguments for `run`; each becomes an attribute and an item of `arguments`.
    """

    def __init__(self, name: str, *, skip: bool = False, **arguments: Any) -> None:
        self.name = check_key("name of an action", name)
        self.skip = skip
        self.arguments = arguments
        self._context: Context | None = None

    def __getattr__(self, name: str) -> Any:
        # Called for missing attributes only. copy creates objects without __init__, so use __dict__ for its attributes.
        arguments = self.__dict__.get("arguments", {})
        if name in arguments:
            return arguments[name]
        raise AttributeError(f"action {self.__dict__.get('name', '?')!r} has no argument or attribute {name!r}")

    @property
    def context(self) -> Context:
        """Context of the attempt.

        Raises:
            ContextMissingError: `set_context` was not called yet.
        """
        if self._context is None:
            raise ContextMissingError(self.name)
        return self._context

    @property
    def log(self) -> logging.Logger:
        """Logger of the action; its lines read `step.action LEVEL message` in the log of the task."""
        return logging.getLogger(f"elastic.task.{self.context['task'].task_id}.{self.name}")

    def set_context(self, context: Context) -> Self:
        """Set the context of the attempt. Called once, before all other methods."""
        self._context = context
        return self

    def do(self) -> Any:
        """Do the work, unless the action has `skip=True`, and return the result of `run`."""
        if self._context is None:
            raise ContextMissingError(self.name)
        if self.skip:
            self.log.info("skipped")
            return None
        return call_user_function(self.run)

    def run(self) -> Any:
        """Do the work. After an exception, later work does not run, and finished work is rolled back."""
        raise NotImplementedError(f"{type(self).__name__} must define run().")

    def rollback(self) -> None:
        """Undo `run`. Called after a later failure, in reverse order; an exception is logged."""

    def cleanup(self) -> None:
        """Release resources. Always called, also after a failure; an exception is logged."""

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    __repr__ = __str__
