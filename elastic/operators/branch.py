"""Tasks that decide which of their downstream tasks run."""

from collections.abc import Iterable
from typing import Any

from elastic.dag.context import Context
from elastic.dag.errors import BranchError
from elastic.operators.python import PythonOperator


class BranchOperator(PythonOperator):
    """Task that calls a function to choose which of its direct downstream tasks run; the others are skipped.

    The function returns the id of a task or group, a list of ids, or None for no task. A task that was not chosen, but
    is downstream of a chosen one, still runs.

    Args:
        python_callable: See `PythonOperator`.
        settings: See `PythonOperator`.
    """

    ui_color = "#eee8f8"

    def execute(self, context: Context) -> list[str]:
        chosen = super().execute(context)
        found = sorted(self._branch_task_ids(chosen))
        self.log.info("Following %s", ", ".join(found) or "no branch")
        return found

    def skipped_after(self, result: Any) -> list[str]:
        chosen = {task_id for task_id in self.downstream if task_id in result}
        kept = chosen | {
            task.task_id for one in chosen for task in self.downstream[one].get_flat_relatives(upstream=False)
        }
        return [task_id for task_id in self.downstream if task_id not in kept]

    def _branch_task_ids(self, chosen: Any) -> set[str]:
        names = [] if chosen is None else [chosen] if isinstance(chosen, str) else chosen
        if not isinstance(names, Iterable):
            raise BranchError(self.task_id, repr(chosen), ", ".join(self.downstream))
        groups = self.dag.groups if self.has_dag else {}
        found: set[str] = set()
        for name in names:
            members = [task.task_id for task in groups[name].first_tasks()] if name in groups else [name]
            if not members or not all(member in self.downstream for member in members):
                raise BranchError(self.task_id, repr(name), ", ".join(self.downstream))
            found.update(members)
        return found


class ShortCircuitOperator(PythonOperator):
    """Task that calls a function, and skips the downstream tasks if the result is false.

    Args:
        python_callable: See `PythonOperator`.
        ignore_downstream_trigger_rules: Skip all downstream tasks. If False, skip only the direct ones; trigger rules
            decide about the others.
        settings: See `PythonOperator`.
    """

    ui_color = "#e8f0f8"

    def __init__(self, python_callable: Any, *, ignore_downstream_trigger_rules: bool = True, **settings: Any) -> None:
        super().__init__(python_callable, **settings)
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules

    def skipped_after(self, result: Any) -> list[str]:
        if result:
            return []
        if self.ignore_downstream_trigger_rules:
            return [task.task_id for task in self.get_flat_relatives(upstream=False)]
        return list(self.downstream)
