"""Tasks whose main work is an action."""

import copy
from typing import Any

from elastic.dag.context import Context
from elastic.dag.execution.action import Action
from elastic.dag.operator import BaseOperator


class ActionOperator(BaseOperator):
    """Task that runs an action; without one it does nothing.

    Args:
        action: The main action. Each attempt works on a deep copy.
        settings: Settings of every task.
    """

    def __init__(self, action: Action | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.action = action
        self._started: Action | None = None

    def execute(self, context: Context) -> Any:
        if self.action is None:
            return None
        self._started = copy.deepcopy(self.action)
        return self._started.set_context(context).do()

    def rollback(self, context: Context) -> None:
        if self._started is not None and not self._started.skip:
            self._started.rollback()

    def cleanup(self, context: Context) -> None:
        if self._started is not None:
            self._started.cleanup()
