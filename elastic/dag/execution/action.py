"""Actions: small units of work before and after the main work of a task."""

import logging
from typing import Any, Self

from elastic.dag.context import Context
from elastic.dag.errors import ContextMissingError
from elastic.dag.execution.coroutines import call_user_function
from elastic.dag.ids import check_key


class Action:
    """A unit of work with a way back; derive it and override `run`, and `rollback` where there is a way.

    One attempt of a task uses a deep copy, so what an action keeps in itself is seen by that attempt only. The life
    of a copy: `set_context`, `do` (which calls `run`), then `rollback` if something failed after it had succeeded,
    and always `cleanup`, once, last.

    Args:
        name: A key; it stands in the lines of the step's log.
        skip: Do nothing, count as complete.
        arguments: Whatever `run` needs; each becomes an attribute and a key of `arguments`.
    """

    def __init__(self, name: str, *, skip: bool = False, **arguments: Any) -> None:
        self.name = check_key("name of an action", name)
        self.skip = skip
        self.arguments = arguments
        self._context: Context | None = None

    def __getattr__(self, name: str) -> Any:
        # Only what is not set comes here. Copies are made without __init__, so look up nothing that it would set.
        arguments = self.__dict__.get("arguments", {})
        if name in arguments:
            return arguments[name]
        raise AttributeError(f"action {self.__dict__.get('name', '?')!r} has no argument or attribute {name!r}")

    @property
    def context(self) -> Context:
        """What the attempt is about.

        Raises:
            ContextMissingError: It has not been set yet.
        """
        if self._context is None:
            raise ContextMissingError(self.name)
        return self._context

    @property
    def log(self) -> logging.Logger:
        """The logger of the action: its lines read `step.action LEVEL message` in the log of the step."""
        return logging.getLogger(f"elastic.task.{self.context['task'].task_id}.{self.name}")

    def set_context(self, context: Context) -> Self:
        """Say what the attempt is about; called once, before anything else."""
        self._context = context
        return self

    def do(self) -> Any:
        """Do the work, unless the action is to be skipped; return what `run` returns."""
        if self._context is None:
            raise ContextMissingError(self.name)
        if self.skip:
            self.log.info("skipped")
            return None
        return call_user_function(self.run)

    def run(self) -> Any:
        """Do the work. An exception is a failure; nothing after it is done, and what was done is rolled back."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    def rollback(self) -> None:
        """Undo what `run` did. Called after a later failure, in reverse order; an exception is noted in the log."""

    def cleanup(self) -> None:
        """Let go of what the action holds. Always called, after a failure too; an exception is noted in the log."""

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    __repr__ = __str__
