"""Settings that are accepted and have no effect: a definition that asks for one gets a warning."""

from typing import TYPE_CHECKING, Any

from elastic.dag.task_settings import NAMES

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.operator import BaseOperator

_MAIL = "Elastic doesn't send mail yet; use on_failure_callback or on_retry_callback"
_SERVICE = "only a scheduler that runs as a service would heed it, and there is none yet"


class DefaultArgs(dict[str, Any]):
    """The default arguments of a DAG, which know the names that tasks have asked for."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, name: str, otherwise: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, otherwise)

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)


def settings_without_effect(task: "BaseOperator") -> dict[str, str]:
    """Return why settings of a task have no effect, by the names of the settings."""
    found: dict[str, str] = {}
    if task.email and (task.email_on_failure or task.email_on_retry):
        found["email"] = _MAIL
    else:
        wanted = [name for name in ("email_on_failure", "email_on_retry") if name in task.asked and getattr(task, name)]
        found.update(dict.fromkeys(wanted, _MAIL))
    if task.has_dag and "schedule_interval" in task.asked and task.own_schedule_interval != task.schedule_interval:
        found["schedule_interval"] = "the schedule of the DAG counts"
    return found


def warnings_of(dag: "DAG") -> list[str]:
    """Return a sentence for each setting of a DAG, or of tasks in it, that has no effect."""
    tasks_of: dict[tuple[str, str], list[str]] = {}
    for task in dag.tasks:
        for name, why in settings_without_effect(task).items():
            tasks_of.setdefault((name, why), []).append(task.task_id)
    found = [f"{name} of {shown(tasks)} has no effect: {why}." for (name, why), tasks in tasks_of.items()]
    found += [
        f"{name} has no effect: {_SERVICE}." for name in sorted(dag.asked & {"catchup", "is_paused_upon_creation"})
    ]
    unused = sorted(dag.default_args.keys() - dag.default_args.asked - NAMES) if dag.tasks else []
    found += [f"default_args[{name!r}] has no effect: no task of the DAG asks for it." for name in unused]
    return found


def shown(task_ids: list[str]) -> str:
    """Return the first few ids of tasks, and how many more there are."""
    few = ", ".join(map(repr, task_ids[:3]))
    more = f" and {len(task_ids) - 3} more" if len(task_ids) > 3 else ""
    return f"{'task' if len(task_ids) == 1 else 'tasks'} {few}{more}"
