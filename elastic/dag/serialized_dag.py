"""The structure of a DAG as JSON: what is stored, shown and decided on where the DAG's file is not loaded.

A structure holds text, numbers, booleans, lists and objects of fixed keys, and nothing in it names code to import.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from elastic.dag.errors import SerializedDagError
from elastic.dag.ids import check_key
from elastic.dag.timetable.interval import instant_of
from elastic.dag.timetable.schedule import (
    CronSchedule,
    IntervalSchedule,
    NoSchedule,
    OnceSchedule,
    PresetSchedule,
    Schedule,
)

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.operator import BaseOperator

#: Raised with every change of what a structure holds.
SCHEMA = 1

_TEXT = (str,)
_OPTIONAL_TEXT = (str, type(None))
_NUMBER = (int, float)
_OPTIONAL_NUMBER = (int, float, type(None))

#: Keys of a DAG and the types of their values.
_DAG = {
    "schema": (int,),
    "dag_id": _TEXT,
    "owner": _TEXT,
    "doc": _TEXT,
    "tags": (list,),
    "fileloc": _TEXT,
    "source_digest": _TEXT,
    "timezone": _TEXT,
    "schedule": (dict,),
    "start_date": _OPTIONAL_TEXT,
    "end_date": _OPTIONAL_TEXT,
    "catchup": (bool,),
    "max_active_runs": (int,),
    "concurrency": (int,),
    "is_paused_upon_creation": (bool,),
    "groups": (list,),
    "tasks": (list,),
}

#: Keys of a task and the types of their values; durations are in seconds.
_TASK = {
    "task_id": _TEXT,
    "operator_type": _TEXT,
    "owner": _TEXT,
    "doc": _TEXT,
    "upstream": (list,),
    "group": _OPTIONAL_TEXT,
    "start_date": _OPTIONAL_TEXT,
    "end_date": _OPTIONAL_TEXT,
    "retries": (int,),
    "retry_delay": _NUMBER,
    "retry_exponential_backoff": (bool,),
    "max_retry_delay": _OPTIONAL_NUMBER,
    "retry_jitter": _NUMBER,
    "execution_timeout": _OPTIONAL_NUMBER,
    "trigger_rule": _TEXT,
    "depends_on_past": (bool,),
    "wait_for_downstream": (bool,),
    "pool": _TEXT,
    "pool_slots": (int,),
    "priority_weight": (int,),
    "queue": _TEXT,
    "skip": (bool,),
    "is_mapped": (bool,),
    "pre": (list,),
    "post": (list,),
    "ui_color": _TEXT,
}

_SCHEDULE = {"kind": _TEXT, "text": _OPTIONAL_TEXT, "seconds": _OPTIONAL_NUMBER, "anchor": _OPTIONAL_TEXT}
_KINDS = ("cron", "preset", "interval", "once", "none", "own")


@dataclass(frozen=True, slots=True)
class SerializedTask:
    """A task as it was stored."""

    #: every key of a stored task
    facts: Mapping[str, Any]
    downstream: tuple[str, ...]

    @property
    def task_id(self) -> str:
        return str(self.facts["task_id"])

    @property
    def upstream(self) -> tuple[str, ...]:
        return tuple(self.facts["upstream"])

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "facts")[name]
        except KeyError:
            raise AttributeError(f"a stored task has no {name!r}") from None


@dataclass(frozen=True, slots=True)
class SerializedDag:
    """A DAG as it was stored."""

    #: every key of a stored DAG but its tasks
    facts: Mapping[str, Any]
    #: by id, in order
    tasks: Mapping[str, SerializedTask]
    schedule: Schedule

    @property
    def dag_id(self) -> str:
        return str(self.facts["dag_id"])

    @property
    def source_digest(self) -> str:
        return str(self.facts["source_digest"])

    @property
    def roots(self) -> list[SerializedTask]:
        """The tasks that come after no other."""
        return [task for task in self.tasks.values() if not task.upstream]

    @property
    def leaves(self) -> list[SerializedTask]:
        """The tasks that no other comes after."""
        return [task for task in self.tasks.values() if not task.downstream]


def to_dict(dag: "DAG", source_digest: str = "") -> dict[str, Any]:
    """Return the structure of a DAG as JSON values; the same DAG gives the same structure.

    Args:
        dag: The DAG.
        source_digest: The digest of its file, so that a run can show the code that it ran.
    """
    return {
        "schema": SCHEMA,
        "dag_id": dag.dag_id,
        "owner": dag.owner,
        "doc": dag.doc,
        "tags": list(dag.tags),
        "fileloc": dag.fileloc,
        "source_digest": source_digest,
        "timezone": dag.timezone,
        "schedule": _schedule_facts(dag.schedule),
        "start_date": _text(dag.start_date),
        "end_date": _text(dag.end_date),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "concurrency": dag.concurrency,
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "groups": sorted(dag.groups),
        "tasks": [_task_facts(task) for task in dag.tasks],
    }


def from_dict(stored: Any) -> SerializedDag:
    """Return what a structure says.

    Raises:
        StructureError: It has other keys or types than a structure, or links that lead nowhere; the error names the
            place.
    """
    _check(stored, _DAG, "the DAG")
    if stored["schema"] != SCHEMA:
        raise SerializedDagError(
            f"a structure of schema {stored['schema']} cannot be read; this Elastic reads {SCHEMA}."
        )
    check_key("dag_id", stored["dag_id"])
    _texts(stored["tags"], "tags of the DAG")
    _texts(stored["groups"], "groups of the DAG")
    _dates(stored)
    facts: dict[str, Mapping[str, Any]] = {}
    for task in stored["tasks"]:
        _check(task, _TASK, "a task")
        check_key("task_id", task["task_id"])
        if task["task_id"] in facts:
            raise SerializedDagError(f"task {task['task_id']!r} is there twice.")
        _dates(task)
        for name in ("upstream", "pre", "post"):
            _texts(task[name], f"{name} of task {task['task_id']!r}")
        facts[task["task_id"]] = dict(task)
    downstream: dict[str, list[str]] = {task_id: [] for task_id in facts}
    for task_id, task in facts.items():
        for one in task["upstream"]:
            if one not in downstream:
                raise SerializedDagError(f"task {task_id!r} comes after {one!r}, which is not there.")
            downstream[one].append(task_id)
    tasks = {task_id: SerializedTask(task, tuple(downstream[task_id])) for task_id, task in facts.items()}
    own = {name: value for name, value in stored.items() if name != "tasks"}
    return SerializedDag(own, tasks, _schedule(stored["schedule"], stored["timezone"]))


def _task_facts(task: "BaseOperator") -> dict[str, Any]:
    facts: dict[str, Any] = {
        "task_id": task.task_id,
        "operator_type": task.operator_type,
        "upstream": sorted(task.upstream),
        "group": task.group.group_id if task.group else None,
        "start_date": _text(task.start_date),
        "end_date": _text(task.end_date),
        "trigger_rule": str(task.trigger_rule),
        "is_mapped": task.is_mapped,
        "pre": [action.name for action in task.pre],
        "post": [action.name for action in task.post],
        "ui_color": task.ui_color,
    }
    for name in _TASK:
        if name not in facts:
            value = getattr(task, name)
            facts[name] = value.total_seconds() if isinstance(value, timedelta) else value
    return {name: facts[name] for name in _TASK}


def _schedule_facts(schedule: Schedule) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": "own", "text": None, "seconds": None, "anchor": None}
    match schedule:
        case PresetSchedule():
            facts |= {"kind": "preset", "text": schedule.name}
        case CronSchedule():
            facts |= {"kind": "cron", "text": schedule.text}
        case IntervalSchedule():
            facts |= {"kind": "interval", "seconds": schedule.length.total_seconds(), "anchor": _text(schedule.anchor)}
        case OnceSchedule():
            facts |= {"kind": "once", "anchor": _text(schedule.anchor)}
        case NoSchedule():
            facts |= {"kind": "none"}
        case _:
            facts |= {"text": str(schedule)}
    return facts


def _schedule(stored: Any, timezone: str) -> Schedule:
    """Return a stored schedule; one of a user's own class cannot be had without the file, and has no slots here."""
    _check(stored, _SCHEDULE, "the schedule")
    kind, text = stored["kind"], stored["text"]
    if kind not in _KINDS:
        raise SerializedDagError(f"there is no kind of schedule {kind!r}; there are {', '.join(_KINDS)}.")
    anchor = instant_of(stored["anchor"]) if stored["anchor"] is not None else None
    needed = text if kind in ("cron", "preset") else stored["seconds"] if kind == "interval" else kind
    if needed is None:
        raise SerializedDagError(f"the schedule of kind {kind!r} says nothing.")
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
        raise SerializedDagError(f"{what} is {type(value).__name__}, not an object.")
    odd = sorted(str(name) for name in value.keys() ^ wanted.keys())
    if odd:
        raise SerializedDagError(f"{what} {'has the key' if odd[0] in value else 'lacks the key'} {odd[0]!r}.")
    for name, types in wanted.items():
        if type(value[name]) not in types:
            raise SerializedDagError(f"{name!r} of {what} is {type(value[name]).__name__}.")


def _texts(values: Sequence[Any], what: str) -> None:
    if not all(type(value) is str for value in values):
        raise SerializedDagError(f"{what} are not all text.")


def _dates(stored: Mapping[str, Any]) -> None:
    for name in ("start_date", "end_date"):
        if stored[name] is not None:
            instant_of(stored[name], what=name)


def _text(instant: Any) -> str | None:
    return None if instant is None else str(instant.isoformat())
