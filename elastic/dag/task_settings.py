"""Settings of all operators: names, defaults and validation."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypedDict

from elastic.core.suggest import closest_name
from elastic.dag.deadline import Deadline, deadlines_of
from elastic.dag.errors import DefinitionError, UnknownSettingError
from elastic.dag.execution.action import Action
from elastic.dag.execution.coroutines import runs_when_called
from elastic.dag.ids import check_key
from elastic.dag.protocols import DagLike, GroupLike
from elastic.dag.recipients import addresses_of
from elastic.dag.states.trigger_rule import TriggerRule
from elastic.dag.timetable.interval import plain_length

Callback = Callable[..., Any]
Seconds = timedelta | float


class TaskSettings(TypedDict, total=False):
    """Keyword arguments of all operators; `BaseOperator` documents them."""

    dag: DagLike | None
    task_group: GroupLike | None
    start_date: datetime | date | str | None
    end_date: datetime | date | str | None
    schedule_interval: Any
    retries: int
    retry_delay: Seconds
    retry_exponential_backoff: bool
    max_retry_delay: Seconds | None
    retry_jitter: float
    execution_timeout: Seconds | None
    trigger_rule: str
    depends_on_past: bool
    wait_for_downstream: bool
    pool: str
    pool_slots: int
    priority_weight: int
    queue: str
    on_success_callback: Callback | Sequence[Callback] | None
    on_failure_callback: Callback | Sequence[Callback] | None
    on_retry_callback: Callback | Sequence[Callback] | None
    params: Any
    pre: Action | Sequence[Action]
    post: Action | Sequence[Action]
    skip: bool
    doc: str
    email: str | Sequence[str] | None
    email_on_failure: bool
    email_on_retry: bool
    resources: Mapping[str, Any]
    env: Mapping[str, str] | None
    do_xcom_push: bool
    deadlines: Deadline | Sequence[Deadline] | None


#: Default of each setting that is stored on the task under its name.
DEFAULTS: Mapping[str, Any] = {
    "start_date": None,
    "end_date": None,
    "schedule_interval": timedelta(days=1),
    "retries": 0,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": False,
    "max_retry_delay": None,
    "retry_jitter": 0.0,
    "execution_timeout": None,
    "trigger_rule": TriggerRule.ALL_SUCCESS,
    "depends_on_past": False,
    "wait_for_downstream": False,
    "pool": "default",
    "pool_slots": 1,
    "priority_weight": 1,
    "queue": "default",
    "on_success_callback": (),
    "on_failure_callback": (),
    "on_retry_callback": (),
    "params": None,
    "pre": (),
    "post": (),
    "skip": False,
    "doc": "",
    "email": (),
    "email_on_failure": True,
    "email_on_retry": False,
    "resources": {},
    "env": None,
    "do_xcom_push": True,
    "deadlines": (),
}

#: Names that `default_args` may contain besides settings of operators' own.
NAMES = frozenset(DEFAULTS) | {"owner"}


def check_names(owner: str, given: Iterable[str], known: Collection[str] = NAMES) -> None:
    """Check that all given settings exist.

    Raises:
        UnknownSettingError: A setting is unknown; the error names the most similar one.
    """
    for name in given:
        if name not in known:
            raise UnknownSettingError(owner, name, closest_name(name, sorted(known)))


def check_default_args(owner: str, given: Iterable[str]) -> None:
    """Check default arguments for misspelt settings. Other names may be settings of operators' own.

    Raises:
        UnknownSettingError: A name is very similar to that of a setting.
    """
    for name in given:
        near = closest_name(name, NAMES, cutoff=0.85)
        # `exponential_backoff` of sensors is no misspelt `retry_exponential_backoff`.
        if name not in NAMES and near and not near.endswith(f"_{name}"):
            raise UnknownSettingError(f"default_args of {owner}", name, near)


def resolve_settings(owner: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings, validated and normalized: durations as timedelta, callbacks and actions as tuples.

    Args:
        owner: The task, for error messages.
        given: The settings that override defaults.

    Raises:
        DefinitionError: A value is invalid.
    """
    settings = {**DEFAULTS, **given}
    for name, check in _CHECKS.items():
        try:
            settings[name] = check(settings[name])
        except (TypeError, ValueError) as error:
            if isinstance(error, DefinitionError):
                raise
            raise DefinitionError(f"{owner}: {name} must be {error}, got {settings[name]!r}.") from None
    return settings


def callbacks_of(owner: str, name: str, value: Any) -> tuple[Callback, ...]:
    """Return one callback, a list of callbacks or None as a tuple.

    Raises:
        DefinitionError: A callback is not callable, or a generator function.
    """
    try:
        return _callbacks(value)
    except TypeError as error:
        raise DefinitionError(f"{owner}: {name} must be {error}, got {value!r}.") from None


def duration_of(value: Any) -> timedelta:
    """Return a timedelta or a number of seconds as a timedelta."""
    if isinstance(value, timedelta):
        found = plain_length(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = timedelta(seconds=value)
    else:
        raise TypeError("a timedelta or a number of seconds")
    if found < timedelta(0):
        raise ValueError("a timedelta or a number of seconds >= 0")
    return found


def _optional_duration(value: Any) -> timedelta | None:
    return None if value is None else duration_of(value)


def _timeout(value: Any) -> timedelta | None:
    found = _optional_duration(value)
    if found == timedelta(0):
        raise ValueError("more than 0 seconds, or None for no limit")
    return found


def _count(minimum: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise ValueError(f"a whole number >= {minimum}")
        return value

    return check


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a whole number")
    return value


def _fraction(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("True or False")
    return value


def _rule(value: Any) -> TriggerRule:
    try:
        return TriggerRule(value)
    except ValueError:
        raise ValueError(f"one of {', '.join(TriggerRule)}") from None


def _key(kind: str) -> Callable[[Any], str]:
    return lambda value: check_key(kind, value)


def _callbacks(value: Any) -> tuple[Callback, ...]:
    found = () if value is None else value if isinstance(value, list | tuple) else (value,)
    if not all(callable(one) for one in found):
        raise TypeError("a function of the context, or a list of such functions")
    if any(not runs_when_called(one) for one in found):
        raise TypeError("a plain or async function, not a generator function, whose body would never run")
    return tuple(found)


def _actions(value: Any) -> tuple[Action, ...]:
    found = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(one, Action) for one in found):
        raise TypeError("an Action or a list of Actions")
    names = [action.name for action in found]
    if len(set(names)) < len(names):
        raise ValueError(f"actions with unique names (they have {', '.join(names)})")
    return found


def _resources(value: Any) -> dict[str, Any]:
    """Return CPUs, memory in bytes, and amounts of custom resources."""
    if not isinstance(value, Mapping) or not set(value) <= {"cpus", "memory", "custom"}:
        raise TypeError("a dict with 'cpus', 'memory' (bytes) and 'custom' (a dict of numbers)")
    numbers = [*(value[name] for name in ("cpus", "memory") if name in value), *value.get("custom", {}).values()]
    if any(isinstance(one, bool) or not isinstance(one, int | float) or one < 0 for one in numbers):
        raise ValueError("a dict of numbers >= 0")
    return dict(value)


def _environment(value: Any) -> dict[str, Any] | None:
    if value is not None and not (isinstance(value, Mapping) and all(isinstance(name, str) for name in value)):
        raise TypeError("a dict of variables by name, or None")
    return None if value is None else dict(value)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "deadlines": deadlines_of,
    "retries": _count(0),
    "retry_delay": duration_of,
    "retry_exponential_backoff": _boolean,
    "max_retry_delay": _optional_duration,
    "retry_jitter": _fraction,
    "execution_timeout": _timeout,
    "trigger_rule": _rule,
    "depends_on_past": _boolean,
    "wait_for_downstream": _boolean,
    "pool": _key("pool"),
    "pool_slots": _count(1),
    "priority_weight": _integer,
    "queue": _key("queue"),
    "on_success_callback": _callbacks,
    "on_failure_callback": _callbacks,
    "on_retry_callback": _callbacks,
    "pre": _actions,
    "post": _actions,
    "skip": _boolean,
    "email": addresses_of,
    "email_on_failure": _boolean,
    "email_on_retry": _boolean,
    "resources": _resources,
    "env": _environment,
    "do_xcom_push": _boolean,
}
