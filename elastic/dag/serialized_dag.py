"""DAGs as JSON: their stored form, for views and for decisions without loading the DAG file.

The form contains strings, numbers, booleans, lists and objects with fixed keys. Nothing in it names code to import.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from elastic.dag.dag import DAG
from elastic.dag.errors import SerializedDagError
from elastic.dag.expansion import MappedOver, OutputPart
from elastic.dag.ids import check_key
from elastic.dag.operator import BaseOperator, MappedOperator
from elastic.dag.timetable.interval import instant_of
from elastic.dag.timetable.schedule import (
    CronSchedule,
    IntervalSchedule,
    NoSchedule,
    OnceSchedule,
    PresetSchedule,
    Schedule,
)

#: Version of the format; incremented with every change of its keys.
SCHEMA = 4

#: Keys that earlier versions of the format lack, with the values that they stand for.
_NEW_DAG_KEYS: Mapping[str, Any] = {
    "root": "",
    "callbacks": [],
    "notify": [],
    "notify_on_success": False,
    "deadlines": [],
}
_NEW_TASK_KEYS: Mapping[str, Any] = {
    "mapped_over": None,
    "resources": {},
    "callbacks": [],
    "email": [],
    "email_on_failure": True,
    "email_on_retry": False,
}

_STRING = (str,)
_OPTIONAL_STRING = (str, type(None))
_NUMBER = (int, float)
_OPTIONAL_NUMBER = (int, float, type(None))

#: Keys of a DAG and the types of their values.
_DAG_TYPES = {
    "schema": (int,),
    "dag_id": _STRING,
    "owner": _STRING,
    "doc": _STRING,
    "tags": (list,),
    "fileloc": _STRING,
    "root": _STRING,
    "source_digest": _STRING,
    "timezone": _STRING,
    "schedule": (dict,),
    "start_date": _OPTIONAL_STRING,
    "end_date": _OPTIONAL_STRING,
    "catchup": (bool,),
    "max_active_runs": (int,),
    "concurrency": (int,),
    "is_paused_upon_creation": (bool,),
    "callbacks": (list,),
    "notify": (list,),
    "notify_on_success": (bool,),
    "deadlines": (list,),
    "groups": (list,),
    "tasks": (list,),
}

#: Keys of a task and the types of their values; durations are in seconds.
_TASK_TYPES = {
    "task_id": _STRING,
    "operator_type": _STRING,
    "owner": _STRING,
    "doc": _STRING,
    "upstream": (list,),
    "group": _OPTIONAL_STRING,
    "start_date": _OPTIONAL_STRING,
    "end_date": _OPTIONAL_STRING,
    "retries": (int,),
    "retry_delay": _NUMBER,
    "retry_exponential_backoff": (bool,),
    "max_retry_delay": _OPTIONAL_NUMBER,
    "retry_jitter": _NUMBER,
    "execution_timeout": _OPTIONAL_NUMBER,
    "trigger_rule": _STRING,
    "depends_on_past": (bool,),
    "wait_for_downstream": (bool,),
    "pool": _STRING,
    "pool_slots": (int,),
    "priority_weight": (int,),
    "queue": _STRING,
    "skip": (bool,),
    "is_mapped": (bool,),
    "mapped_over": (dict, type(None)),
    "resources": (dict,),
    "callbacks": (list,),
    "email": (list,),
    "email_on_failure": (bool,),
    "email_on_retry": (bool,),
    "pre": (list,),
    "post": (list,),
    "ui_color": _STRING,
}

_SCHEDULE_TYPES = {"kind": _STRING, "text": _OPTIONAL_STRING, "seconds": _OPTIONAL_NUMBER, "anchor": _OPTIONAL_STRING}
_DEADLINE_TYPES = {"task_id": _OPTIONAL_STRING, "after": _STRING, "seconds": _NUMBER, "notify": (list,)}
_KINDS = ("cron", "preset", "interval", "once", "none", "own")


@dataclass(frozen=True, slots=True)
class SerializedTask:
    """Stored task; its keys are attributes."""

    #: all keys of the stored task
    fields: Mapping[str, Any]
    downstream: tuple[str, ...]

    @property
    def task_id(self) -> str:
        return str(self.fields["task_id"])

    @property
    def upstream(self) -> tuple[str, ...]:
        return tuple(self.fields["upstream"])

    @property
    def mapped_over(self) -> MappedOver | None:
        """What the copies of a mapped task are counted from; None if the task is not mapped."""
        return _mapped_over(self.fields)

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "fields")[name]
        except KeyError:
            raise AttributeError(f"a stored task has no {name!r}") from None


@dataclass(frozen=True, slots=True)
class SerializedDag:
    """Stored DAG, on which the scheduler service decides without the DAG file."""

    #: all keys of the stored DAG except its tasks
    fields: Mapping[str, Any]
    #: by id, in order
    tasks: Mapping[str, SerializedTask]
    schedule: Schedule

    @property
    def dag_id(self) -> str:
        return str(self.fields["dag_id"])

    @property
    def source_digest(self) -> str:
        return str(self.fields["source_digest"])


def to_dict(dag: DAG, source_digest: str = "") -> dict[str, Any]:
    """Return a DAG as JSON values. Equal DAGs have equal values.

    Args:
        dag: The DAG.
        source_digest: The digest of the DAG file, so that a view of a run can show its code.
    """
    return {
        "schema": SCHEMA,
        "dag_id": dag.dag_id,
        "owner": dag.owner,
        "doc": dag.doc,
        "tags": list(dag.tags),
        "fileloc": dag.fileloc,
        "root": str(dag.root),
        "source_digest": source_digest,
        "timezone": dag.timezone,
        "schedule": _schedule_fields(dag.schedule),
        "start_date": _text(dag.start_date),
        "end_date": _text(dag.end_date),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "concurrency": dag.concurrency,
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "callbacks": _states({"success": dag.on_success_callback, "failed": dag.on_failure_callback}),
        "notify": list(dag.notify),
        "notify_on_success": dag.notify_on_success,
        "deadlines": _deadline_fields(dag),
        "groups": sorted(dag.groups),
        "tasks": [_task_fields(task) for task in dag.tasks],
    }


def from_dict(stored: Any) -> SerializedDag:
    """Validate and return a stored DAG. That of an earlier version of the format is read too.

    Raises:
        SerializedDagError: A key is missing or unknown, a value has another type, or an upstream task does not exist.
            The error names the place.
    """
    stored = _upgraded(stored)
    _check(stored, _DAG_TYPES, "the DAG")
    if stored["schema"] != SCHEMA:
        raise SerializedDagError(f"stored DAG must have schema {SCHEMA}, got {stored['schema']}. Store the DAG again.")
    check_key("dag_id", stored["dag_id"])
    _check_strings(stored["tags"], "tags of the DAG")
    _check_strings(stored["callbacks"], "callbacks of the DAG")
    _check_strings(stored["notify"], "recipients of the DAG")
    _check_strings(stored["groups"], "groups of the DAG")
    _check_dates(stored)
    task_fields: dict[str, Mapping[str, Any]] = {}
    for task in stored["tasks"]:
        _check(task, _TASK_TYPES, "a task")
        check_key("task_id", task["task_id"])
        if task["task_id"] in task_fields:
            raise SerializedDagError(f"task {task['task_id']!r} occurs twice.")
        _check_dates(task)
        for name in ("upstream", "pre", "post", "callbacks", "email"):
            _check_strings(task[name], f"{name} of task {task['task_id']!r}")
        _mapped_over(task)
        task_fields[task["task_id"]] = dict(task)
    for deadline in stored["deadlines"]:
        _check(deadline, _DEADLINE_TYPES, "a deadline")
        _check_strings(deadline["notify"], "notify of a deadline")
    downstream: dict[str, list[str]] = {task_id: [] for task_id in task_fields}
    for task_id, task in task_fields.items():
        for one in task["upstream"]:
            if one not in downstream:
                raise SerializedDagError(f"task {task_id!r} depends on {one!r}, which does not exist.")
            downstream[one].append(task_id)
    tasks = {task_id: SerializedTask(task, tuple(downstream[task_id])) for task_id, task in task_fields.items()}
    own = {name: value for name, value in stored.items() if name != "tasks"}
    return SerializedDag(own, tasks, _schedule(stored["schedule"], stored["timezone"]))


def _task_fields(task: BaseOperator) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "task_id": task.task_id,
        "operator_type": task.operator_type,
        "upstream": sorted(task.upstream),
        "group": task.group.group_id if task.group else None,
        "start_date": _text(task.start_date),
        "end_date": _text(task.end_date),
        "trigger_rule": str(task.trigger_rule),
        "is_mapped": task.is_mapped,
        "mapped_over": _mapped_fields(task.mapped_over) if isinstance(task, MappedOperator) else None,
        "callbacks": _states(
            {
                "success": task.on_success_callback,
                "failed": task.on_failure_callback,
                "up_for_retry": task.on_retry_callback,
            }
        ),
        "email": list(task.email),
        "pre": [action.name for action in task.pre],
        "post": [action.name for action in task.post],
        "ui_color": task.ui_color,
    }
    for name in _TASK_TYPES:
        if name not in fields:
            value = getattr(task, name)
            fields[name] = value.total_seconds() if isinstance(value, timedelta) else value
    return {name: fields[name] for name in _TASK_TYPES}


def _deadline_fields(dag: DAG) -> list[dict[str, Any]]:
    """Return the deadlines of a DAG and of its tasks, which are stored together."""
    found = [(None, one) for one in dag.deadlines]
    return [
        {"task_id": task_id, "after": one.after, "seconds": one.within.total_seconds(), "notify": list(one.notify)}
        for task_id, one in [*found, *((task.task_id, one) for task in dag.tasks for one in task.deadlines)]
    ]


def _schedule_fields(schedule: Schedule) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": "own", "text": None, "seconds": None, "anchor": None}
    match schedule:
        case PresetSchedule():
            fields |= {"kind": "preset", "text": schedule.name}
        case CronSchedule():
            fields |= {"kind": "cron", "text": schedule.text}
        case IntervalSchedule():
            fields |= {"kind": "interval", "seconds": schedule.length.total_seconds(), "anchor": _text(schedule.anchor)}
        case OnceSchedule():
            fields |= {"kind": "once", "anchor": _text(schedule.anchor)}
        case NoSchedule():
            fields |= {"kind": "none"}
        case _:
            fields |= {"text": str(schedule)}
    return fields


def _schedule(stored: Any, timezone: str) -> Schedule:
    """Return a stored schedule. One of a user-defined class needs the DAG file, so it has no slots here."""
    _check(stored, _SCHEDULE_TYPES, "the schedule")
    kind, text = stored["kind"], stored["text"]
    if kind not in _KINDS:
        raise SerializedDagError(f"unknown kind of schedule {kind!r}. Expected one of {', '.join(_KINDS)}.")
    anchor = instant_of(stored["anchor"]) if stored["anchor"] is not None else None
    needed = text if kind in ("cron", "preset") else stored["seconds"] if kind == "interval" else kind
    if needed is None:
        raise SerializedDagError(f"the schedule of kind {kind!r} has no value.")
    match kind:
        case "cron":
            return CronSchedule(str(text), timezone)
        case "preset":
            return PresetSchedule(str(text), timezone)
        case "interval":
            return IntervalSchedule(timedelta(seconds=stored["seconds"]), timezone, anchor)
        case "once":
            return OnceSchedule(timezone, anchor)
    return NoSchedule(timezone)


def _check(value: Any, wanted: Mapping[str, tuple[type, ...]], what: str) -> None:
    if not isinstance(value, dict):
        raise SerializedDagError(f"{what} must be an object, got {type(value).__name__}.")
    wrong = sorted(str(name) for name in value.keys() ^ wanted.keys())
    if wrong:
        raise SerializedDagError(f"{what} has {'an unknown' if wrong[0] in value else 'no'} key {wrong[0]!r}.")
    for name, types in wanted.items():
        if type(value[name]) not in types:
            raise SerializedDagError(f"{name!r} of {what} has the invalid type {type(value[name]).__name__}.")


def _check_strings(values: Sequence[Any], what: str) -> None:
    if not all(type(value) is str for value in values):
        raise SerializedDagError(f"{what} must all be strings.")


def _check_dates(stored: Mapping[str, Any]) -> None:
    for name in ("start_date", "end_date"):
        if stored[name] is not None:
            instant_of(stored[name], what=name)


def _text(instant: Any) -> str | None:
    return None if instant is None else str(instant.isoformat())


def _states(callbacks: Mapping[str, Any]) -> list[str]:
    """Return the states that have callbacks."""
    return sorted(state for state, found in callbacks.items() if found)


def _mapped_fields(mapped: MappedOver) -> dict[str, Any]:
    factors = [
        {"task_id": one.task_id, "key": one.key, "path": list(one.path)} if isinstance(one, OutputPart) else one
        for one in mapped.factors
    ]
    return {"factors": factors, "is_rows": mapped.is_rows}


def _mapped_over(task: Mapping[str, Any]) -> MappedOver | None:
    stored, what = task["mapped_over"], f"mapped_over of task {task['task_id']!r}"
    if stored is None:
        return None
    _check(stored, {"factors": (list,), "is_rows": (bool,)}, what)
    factors: list[int | OutputPart] = []
    for one in stored["factors"]:
        if type(one) is int and one >= 0:
            factors.append(one)
            continue
        _check(one, {"task_id": _STRING, "key": _STRING, "path": (list,)}, f"a factor of {what}")
        if not all(type(part) in (int, str) for part in one["path"]):
            raise SerializedDagError(f"the path of a factor of {what} must contain only names and numbers.")
        factors.append(OutputPart(one["task_id"], one["key"], tuple(one["path"])))
    if not factors or (stored["is_rows"] and len(factors) != 1):
        raise SerializedDagError(f"{what} has {len(factors)} factors, which is not possible.")
    return MappedOver(tuple(factors), stored["is_rows"])


def _upgraded(stored: Any) -> Any:
    """Return a stored DAG of an earlier version of the format in the present one; any other value unchanged."""
    if not isinstance(stored, dict) or type(stored.get("schema")) is not int or not 1 <= stored["schema"] < SCHEMA:
        return stored
    tasks = stored.get("tasks")
    if isinstance(tasks, list):
        tasks = [{**_NEW_TASK_KEYS, **task} if isinstance(task, dict) else task for task in tasks]
    return {**_NEW_DAG_KEYS, **stored, "schema": SCHEMA, "tasks": tasks}
