"""The scene of a template: the context as read-only views."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from elastic.dag.context import Context
from elastic.dag.templating.macros import macro
from elastic.dag.templating.read_only import ReadOnlyView, read_only

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.execution.task_instance import TaskInstance
    from elastic.dag.operator import BaseOperator

_TASK = (
    "task_id", "dag_id", "owner", "operator_type", "start_date", "end_date", "retries", "retry_delay", "pool",
    "queue", "priority_weight", "depends_on_past", "doc",
)  # fmt: skip
_DAG = ("dag_id", "owner", "start_date", "end_date", "timezone", "tags", "doc", "task_ids", "fileloc", "concurrency")
_INSTANCE = (
    "dag_id", "task_id", "run_id", "map_index", "try_number", "attempt_uuid", "execution_date", "logical_date",
    "log_filepath", "xcom_pull",
)  # fmt: skip
_CONNECTION = ("conn_id", "kind", "host", "login", "password", "schema", "port", "extra")


def template_context(context: Context) -> Mapping[str, Any]:
    """Return what a template sees, by name. Nothing in it leads to a live object."""
    dag, task = context["dag"], context["task"]
    own = dag.user_defined_macros if dag is not None else {}
    live = {
        "dag": None if dag is None else dag_view(dag),
        "task": task_view(task),
        "ti": instance_view(context["ti"]),
        "task_instance": instance_view(context["ti"]),
        "macros": context["macros"],
        "var": _LazyLookup("var", context["var"].__getitem__, value=None, json=json.loads),
        "conn": _LazyLookup("conn", lambda conn_id: connection_view(context["conn"][conn_id])),
    }
    # settings are for tasks and actions: what a template makes is shown in logs and on pages
    shown = {name: read_only(value, name) for name, value in context.items() if name not in {*live, "settings"}}
    return {**_callable(own), **shown, **live}


def dag_view(dag: "DAG") -> ReadOnlyView:
    """Return the facts of a DAG."""
    return ReadOnlyView(str(dag), {**_facts(dag, _DAG), "schedule_interval": str(dag.schedule), "params": dag.params})


def task_view(task: "BaseOperator") -> ReadOnlyView:
    """Return the facts of a task."""
    return ReadOnlyView(str(task), {**_facts(task, _TASK), "params": task.params})


def instance_view(ti: "TaskInstance") -> ReadOnlyView:
    """Return the facts of a task instance, and what other tasks passed on."""
    return ReadOnlyView(str(ti), {**_facts(ti, _INSTANCE), "key": str(ti.key), "task": task_view(ti.task)})


def connection_view(connection: Any) -> ReadOnlyView:
    """Return the facts of a connection."""
    return ReadOnlyView(
        str(connection), {name: getattr(connection, name) for name in _CONNECTION if hasattr(connection, name)}
    )


def _facts(thing: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}


def _callable(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user's macros: functions as they are, other values as views."""
    return {name: macro(value) if callable(value) else read_only(value, name) for name, value in own.items()}


class _LazyLookup(ReadOnlyView):
    """Things that are looked up when they are asked for: `var.name`, `var["name"]`, `var.json.name`.

    Args:
        name: What it prints as.
        lookup: Finds one by name; raises LookupError if there is none.
        forms: Further ways to ask, by name, and what is done with what was found.
    """

    __slots__ = ("_forms", "_lookup")

    def __init__(self, name: str, lookup: Callable[[str], Any], **forms: Callable[[Any], Any] | None) -> None:
        super().__init__(name, {})
        object.__setattr__(self, "_lookup", lookup)
        object.__setattr__(self, "_forms", forms)

    def __getitem__(self, name: str) -> Any:
        if name in self._forms:
            form = self._forms[name]
            return _LazyLookup(f"{self}.{name}", lambda one: form(self._lookup(one)) if form else self._lookup(one))
        return read_only(self._lookup(name), f"{self}.{name}")

    def get(self, name: str, default: Any = None) -> Any:
        """Return what is found, or `default` if there is nothing."""
        try:
            return self[name]
        except LookupError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None
