"""Warnings about settings that are accepted but have no effect."""

from collections.abc import Sequence
from typing import Any

from elastic.dag.operator import BaseOperator
from elastic.dag.task_settings import NAMES


class DefaultArgs(dict[str, Any]):
    """Default arguments of a DAG that record which names the tasks read."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.used_names: set[str] = set()

    def get(self, name: str, otherwise: Any = None) -> Any:
        self.used_names.add(name)
        return super().get(name, otherwise)

    def __getitem__(self, name: str) -> Any:
        self.used_names.add(name)
        return super().__getitem__(name)


def settings_without_effect(task: BaseOperator) -> dict[str, str]:
    """Return the settings of a task that have no effect, each with the reason."""
    found: dict[str, str] = {}
    is_overridden = task.has_dag and task.own_schedule_interval != task.schedule_interval
    if is_overridden and "schedule_interval" in task.given_names:
        found["schedule_interval"] = "the schedule of the DAG takes precedence"
    return found


def ignored_settings(tasks: Sequence[BaseOperator], default_args: DefaultArgs) -> list[str]:
    """Return a sentence for each setting of a DAG, or of its tasks, that has no effect.

    Args:
        tasks: All tasks of the DAG.
        default_args: The default arguments of the DAG.
    """
    tasks_of: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        for name, reason in settings_without_effect(task).items():
            tasks_of.setdefault((name, reason), []).append(task.task_id)
    found = [
        f"{name} of {shown_task_ids(task_ids)} has no effect: {reason}."
        for (name, reason), task_ids in tasks_of.items()
    ]
    unused = sorted(default_args.keys() - default_args.used_names - NAMES) if tasks else []
    found += [f"default_args[{name!r}] has no effect: no task of the DAG reads it." for name in unused]
    return found


def shown_task_ids(task_ids: list[str]) -> str:
    """Return the first three ids, and the number of the others."""
    first = ", ".join(map(repr, task_ids[:3]))
    more = f" and {len(task_ids) - 3} more" if len(task_ids) > 3 else ""
    return f"{'task' if len(task_ids) == 1 else 'tasks'} {first}{more}"
