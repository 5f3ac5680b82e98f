"""Template context: read-only views of the context of an attempt."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from elastic.dag.context import Context
from elastic.dag.dag import DAG
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.operator import BaseOperator
from elastic.dag.templating.macros import macro
from elastic.dag.templating.read_only import ReadOnlyView, read_only

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
    """Return the values of a template by name. None of them gives access to a live object."""
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
    # Settings are for tasks and actions only: rendered templates appear in logs and views.
    shown = {name: read_only(value, name) for name, value in context.items() if name not in {*live, "settings"}}
    return {**_macros(own), **shown, **live}


def dag_view(dag: DAG) -> ReadOnlyView:
    """Return a view of a DAG."""
    return ReadOnlyView(
        str(dag), {**_attributes(dag, _DAG), "schedule_interval": str(dag.schedule), "params": dag.params}
    )


def task_view(task: BaseOperator) -> ReadOnlyView:
    """Return a view of a task."""
    return ReadOnlyView(str(task), {**_attributes(task, _TASK), "params": task.params})


def instance_view(ti: TaskInstance) -> ReadOnlyView:
    """Return a view of a task instance, with `xcom_pull`."""
    return ReadOnlyView(str(ti), {**_attributes(ti, _INSTANCE), "key": str(ti.key), "task": task_view(ti.task)})


def connection_view(connection: Any) -> ReadOnlyView:
    """Return a view of a connection."""
    return ReadOnlyView(
        str(connection), {name: getattr(connection, name) for name in _CONNECTION if hasattr(connection, name)}
    )


def _attributes(thing: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}


def _macros(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the macros of a user: functions unchanged, other values as views."""
    return {name: macro(value) if callable(value) else read_only(value, name) for name, value in own.items()}


class _LazyLookup(ReadOnlyView):
    """Mapping view that looks values up on access: `var.name`, `var["name"]`, `var.json.name`.

    Args:
        name: The string form of the view.
        lookup: Returns a value by name; raises LookupError if it does not exist.
        forms: Sub-views by name, with the conversion of their values; None for no conversion.
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
        """Return a value, or `default` if it does not exist."""
        try:
            return self[name]
        except LookupError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None
