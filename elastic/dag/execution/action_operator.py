"""Steps: tasks whose main work is an action."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elastic.dag.context import Context
from elastic.dag.errors import DefinitionError
from elastic.dag.execution.action import Action
from elastic.dag.operator import BaseOperator

if TYPE_CHECKING:
    from elastic.dag.dag import DAG

#: Names that views give to the two ends of the graph.
RESERVED = ("start", "finish")


class ActionOperator(BaseOperator):
    """Does an action; without one it does nothing.

    Args:
        action: The main action. Each attempt works on a deep copy.
        settings: What every task takes.
    """

    def __init__(self, action: Action | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.action = action
        self._begun: Action | None = None

    def execute(self, context: Context) -> Any:
        if self.action is None:
            return None
        self._begun = copy.deepcopy(self.action)
        return self._begun.set_context(context).do()

    def rollback(self, context: Context) -> None:
        if self._begun is not None and not self._begun.skip:
            self._begun.rollback()

    def cleanup(self, context: Context) -> None:
        if self._begun is not None:
            self._begun.cleanup()


def append(
    dag: "DAG",
    name: str,
    dependent_on_names: Sequence[str],
    main_action: Action | None,
    around: tuple[Sequence[Action], Sequence[Action]],
    *,
    skip: bool,
) -> None:
    """Add a step to a DAG; `around` holds its pre and its post actions.

    Raises:
        DefinitionError: The name is reserved.
        UnknownTaskError: It depends on a step that is not there yet.
    """
    if name in RESERVED:
        raise DefinitionError(f"{name!r} is the name of an end of the graph; give the step another one.")
    before = [dag.get_task(one) for one in dependent_on_names]
    step = ActionOperator(main_action, task_id=name, dag=dag, pre=around[0], post=around[1], skip=skip)
    step.set_upstream(before)
