"""Tasks that decide which tasks after them run."""

from collections.abc import Iterable
from typing import Any

from elastic.dag.context import Context
from elastic.dag.errors import BranchError
from elastic.operators.python import PythonOperator


class BranchOperator(PythonOperator):
    """Calls a function that chooses which of the tasks directly after this one run; the others are skipped.

    The function returns the id of a task or group, a list of ids, or None for none of them. A task that is not
    chosen but comes after one that is runs nevertheless.

    Args:
        python_callable: As of `PythonOperator`.
        settings: As of `PythonOperator`.
    """

    ui_color = "#eee8f8"

    def execute(self, context: Context) -> list[str]:
        chosen = super().execute(context)
        found = sorted(self._followed(chosen))
        self.log.info("Following %s", ", ".join(found) or "no branch")
        return found

    def skipped_after(self, result: Any) -> list[str]:
        chosen = {task_id for task_id in self.downstream if task_id in result}
        kept = chosen | {
            task.task_id for one in chosen for task in self.downstream[one].get_flat_relatives(upstream=False)
        }
        return [task_id for task_id in self.downstream if task_id not in kept]

    def _followed(self, chosen: Any) -> set[str]:
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
    """Calls a function; if what it returns is false, the tasks after this one are skipped.

    Args:
        python_callable: As of `PythonOperator`.
        ignore_downstream_trigger_rules: Skip all tasks after this one, on every level. Otherwise only those directly
            after it, and what comes later goes by its trigger rules.
        settings: As of `PythonOperator`.
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
