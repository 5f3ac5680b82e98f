"""Operators: the base class of all tasks, and mapped tasks."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, ClassVar, Unpack
from zoneinfo import ZoneInfo

from elastic.dag.backend import backend
from elastic.dag.context import Context
from elastic.dag.deadline import Deadline
from elastic.dag.definition_scope import current_dag, current_group, is_detached, without_registration
from elastic.dag.dependencies import DependencyMixin, add_dependency, reachable_tasks
from elastic.dag.errors import DefinitionError, MappingError
from elastic.dag.execution.action import Action
from elastic.dag.execution.attempt_info import AttemptInfo
from elastic.dag.expansion import Expansion, MappedOver
from elastic.dag.files.helper_modules import HelperModules
from elastic.dag.ids import check_key, run_id_of
from elastic.dag.protocols import DagLike, GroupLike
from elastic.dag.states.trigger_rule import TriggerRule
from elastic.dag.task_settings import DEFAULTS, NAMES, Callback, TaskSettings, check_names, resolve_settings
from elastic.dag.templating.literals import ForeignTexts
from elastic.dag.timetable.interval import DataInterval, instant_of, zone_of
from elastic.dag.timetable.schedule import Schedule, schedule_of
from elastic.dag.xcom_arg import Pull, XComArg, formatted_task_ids, references

#: Settings that all copies of a mapped task have in common.
_SHARED_SETTINGS = NAMES | {"task_id", "dag", "task_group"}

#: Settings stored unchanged as `_name`, because their meaning depends on the DAG.
_DAG_DEPENDENT_SETTINGS = ("start_date", "end_date", "schedule_interval")

_ranks = count()


class BaseOperator(DependencyMixin):
    """Base class of tasks: subclasses store their arguments in `__init__` and do the work in `execute`.

    An operator object is a definition. It lives as long as its DAG file is loaded. Each attempt works on a shallow copy
    whose `template_fields` are rendered, so `execute` may set attributes of `self` without affecting other attempts.

    Args:
        task_id: A key, unique in the DAG.
        owner: The person or team that is responsible for the task; by default the owner of the DAG.
        dag: The DAG; by default the one with an open `with` block. A task may also have no DAG.
        task_group: The group; by default the one with an open `with` block.
        start_date, end_date: The first and last logical date of the task; by default those of the DAG.
        schedule_interval: The schedule of a task without a DAG. The schedule of a DAG takes precedence.
        retries: Maximum number of retries after a failed attempt.
        retry_delay: Delay before a retry, a timedelta or seconds. With `retry_exponential_backoff`, it doubles each
            time, up to `max_retry_delay`. `retry_jitter` varies it by up to this share of itself (0 to 1).
        execution_timeout: Maximum run time of an attempt, a timedelta or seconds; None for no limit.
        trigger_rule: Which states of the upstream tasks let the task start.
        depends_on_past: Wait until the same task succeeded on the previous logical date.
        wait_for_downstream: Also wait until its direct downstream tasks succeeded on the previous logical date.
        pool, pool_slots: The pool that limits concurrency, and the number of its slots that one instance takes.
        priority_weight: Instances with a higher weight start first.
        queue: The group of workers that may run the task, for executors with several groups.
        on_success_callback, on_failure_callback, on_retry_callback: Called with the context after an attempt.
        params: A dict, a module or any object with public attributes; `params` in templates.
        pre, post: Actions before and after the main work.
        skip: Do nothing and count as complete.
        doc: Description of the task, in Markdown.
        email: Mail addresses that are notified when the task has failed.
        email_on_failure, email_on_retry: Whether they are notified of a failure after the last try, and of one that is
            retried.
        resources: Required resources: `cpus`, `memory` in bytes, `custom` resources by name.
        env: Environment variables for the work.
        do_xcom_push: Pass the return value of `execute` to other tasks.
        deadlines: Times of a run by which the task must have succeeded, or have been skipped.

    Raises:
        DefinitionError: A setting is unknown or invalid; the error names the task and the setting.
    """

    #: Attributes whose Jinja templates are rendered before `execute`.
    template_fields: ClassVar[Sequence[str]] = ()
    #: File endings: a field that is a single word with one of them names a template file.
    template_ext: ClassVar[Sequence[str]] = ()
    #: Fields that may name a template file; None for all. Other fields are never read from files.
    file_fields: ClassVar[Sequence[str] | None] = None
    #: Whether the task waits for a condition: a sensor.
    is_sensor: bool = False
    #: Background colour of the task in views, a CSS colour.
    ui_color: ClassVar[str] = "#f4f4f4"

    #: strings of other tasks that the constructor of a mapped copy received
    foreign_texts: ForeignTexts | None = None

    task_id: str
    owner: str
    _schedule_interval: Any
    retries: int
    retry_delay: timedelta
    retry_exponential_backoff: bool
    max_retry_delay: timedelta | None
    retry_jitter: float
    execution_timeout: timedelta | None
    trigger_rule: TriggerRule
    depends_on_past: bool
    wait_for_downstream: bool
    pool: str
    pool_slots: int
    priority_weight: int
    queue: str
    on_success_callback: tuple[Callback, ...]
    on_failure_callback: tuple[Callback, ...]
    on_retry_callback: tuple[Callback, ...]
    params: Any
    pre: tuple[Action, ...]
    post: tuple[Action, ...]
    skip: bool
    doc: str
    email: tuple[str, ...]
    email_on_failure: bool
    email_on_retry: bool
    resources: dict[str, Any]
    env: dict[str, str] | None
    do_xcom_push: bool
    deadlines: tuple[Deadline, ...]
    given_names: frozenset[str]

    def __init__(self, task_id: str, owner: str | None = None, **settings: Unpack[TaskSettings]) -> None:
        given: dict[str, Any] = dict(settings)
        dag, group = _pop_dag_and_group(given)
        task_id = group.child_id(task_id) if group else task_id
        self.task_id = check_key("task_id", task_id)
        title = f"{type(self).__name__} {task_id!r}"
        check_names(title, given)
        #: the DAG's settings for all its tasks; `default` looks up an operator's own settings here
        self.default_args: Mapping[str, Any] = dag.default_args if dag else {}
        inherited = {name: value for name, value in self.default_args.items() if name in DEFAULTS}
        self.owner = str(owner or self.default_args.get("owner") or (dag.owner if dag else "") or "elastic")
        #: names of the settings that the task or the DAG's default_args give
        self.__dict__["given_names"] = frozenset(inherited) | given.keys()
        for name, value in resolve_settings(title, {**inherited, **given}).items():
            setattr(self, f"_{name}" if name in _DAG_DEPENDENT_SETTINGS else name, value)
        #: direct neighbours by task id
        self.upstream: dict[str, BaseOperator] = {}
        self.downstream: dict[str, BaseOperator] = {}
        #: ids of upstream tasks that follow from a value and not from an arrow
        self.implied: set[str] = set()
        #: position in the topological order; rises along all dependencies
        self.rank = next(_ranks)
        self.group = group
        self._is_detached = is_detached()
        self._dag: DagLike | None = dag if self._is_detached else None
        if dag and not self._is_detached:
            dag.add_task(self)
        if group:
            group.add(self)
        for name in self.rendered_fields:
            self._depend_on(self.__dict__.get(name))

    def execute(self, *arguments: Any, **named: Any) -> Any:
        """Do the work of an attempt, and return the value for later tasks (None for no value).

        Called once per attempt, on a copy of the task. Its parameters are filled by name from the context:
        `execute(self, execution_date)`, `execute(self, ds, params)`. A parameter called `context` receives the whole
        context. An exception fails the attempt; `TaskSkipped` ends it as skipped.
        """
        raise NotImplementedError(f"{type(self).__name__} must define execute().")

    def on_kill(self) -> None:
        """Stop everything that `execute` started outside this process. Called on a timeout or a stop."""

    def rollback(self, context: Context) -> None:
        """Undo `execute`. Called after a post action failed, before the pre actions are rolled back."""

    def cleanup(self, context: Context) -> None:
        """Release the resources of the attempt. Called once after `execute`, also if it failed."""

    def skipped_after(self, result: Any) -> list[str]:
        """Return the ids of the tasks to skip after `execute` returned `result`."""
        return []

    def default(self, name: str, given: Any, otherwise: Any = None) -> Any:
        """Return a setting of the operator's own: the given value, else that of default_args, else `otherwise`.

        Call it in the `__init__` of an operator, after that of this class:
        `self.conn_id = self.default("conn_id", conn_id)`.
        """
        return given if given is not None else self.default_args.get(name, otherwise)

    @property
    def has_dag(self) -> bool:
        """Whether the task belongs to a DAG."""
        return self._dag is not None

    @property
    def dag(self) -> DagLike:
        """The DAG of the task.

        Raises:
            DefinitionError: The task has no DAG.
        """
        if self._dag is None:
            raise DefinitionError(f"task {self.task_id!r} belongs to no DAG. Pass one as dag=.")
        return self._dag

    @dag.setter
    def dag(self, dag: DagLike) -> None:
        dag.add_task(self)

    @property
    def helpers(self) -> HelperModules:
        """Helper modules of the DAG file; they are installed while code of the task runs."""
        return self._dag.helpers if self._dag else HelperModules()

    @property
    def dag_id(self) -> str:
        """Id of the DAG; `adhoc_<owner>` without one."""
        return self._dag.dag_id if self._dag else f"adhoc_{self.owner}"

    @property
    def timezone(self) -> str:
        """Name of the DAG's time zone."""
        return self._dag.timezone if self._dag else "UTC"

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the DAG."""
        return zone_of(self.timezone)

    @property
    def start_date(self) -> datetime | None:
        """First logical date, in UTC; None if neither the task nor the DAG has one."""
        return self._date_setting("start_date")

    @property
    def end_date(self) -> datetime | None:
        """Last logical date, in UTC; None if neither the task nor the DAG has one."""
        return self._date_setting("end_date")

    @property
    def schedule_interval(self) -> Any:
        """Schedule as the user wrote it: that of the DAG, if there is one."""
        return self._dag.schedule_interval if self._dag else self._schedule_interval

    @property
    def own_schedule_interval(self) -> Any:
        """Schedule of the task itself, which only applies without a DAG."""
        return self._schedule_interval

    @property
    def schedule(self) -> Schedule:
        """Schedule of the DAG, or of the task if it has no DAG."""
        return self._dag.schedule if self._dag else schedule_of(self._schedule_interval, "UTC", self.start_date)

    @property
    def operator_type(self) -> str:
        """Name of the class."""
        return type(self).__name__

    @property
    def is_mapped(self) -> bool:
        """Whether a run has several instances of the task, one for each element of a list."""
        return False

    @property
    def rendered_fields(self) -> tuple[str, ...]:
        """Template fields, always as a tuple."""
        fields = self.template_fields
        return (fields,) if isinstance(fields, str) else tuple(fields)

    @property
    def log(self) -> logging.Logger:
        """Logger of the task; its records are stored in the log of the attempt."""
        return logging.getLogger(f"elastic.task.{self.task_id}")

    @property
    def output(self) -> XComArg:
        """Future return value of the task. A task that takes it depends on this one."""
        return XComArg(self)

    @property
    def upstream_list(self) -> "list[BaseOperator]":
        """Direct upstream tasks."""
        return list(self.upstream.values())

    @property
    def downstream_list(self) -> "list[BaseOperator]":
        """Direct downstream tasks."""
        return list(self.downstream.values())

    def get_direct_relatives(self, *, upstream: bool = False) -> "list[BaseOperator]":
        """Return the direct downstream or upstream tasks."""
        return self.upstream_list if upstream else self.downstream_list

    def get_flat_relatives(self, *, upstream: bool = False) -> "list[BaseOperator]":
        """Return all downstream or upstream tasks on every level, each once."""
        return reachable_tasks(self, upstream=upstream)

    def first_tasks(self) -> "list[BaseOperator]":
        return [self]

    last_tasks = first_tasks

    @classmethod
    def partial(cls, task_id: str, **arguments: Any) -> "PartialOperator":
        """Fix the arguments that all copies of a mapped task share; `expand` takes those that differ."""
        return PartialOperator(cls, {"task_id": task_id, **arguments})

    def attempt_info(self, execution_date: datetime | date | str | None, **fields: Any) -> AttemptInfo:
        """Return the ids and dates of an attempt on a logical date; `fields` override those of the scheduled run.

        A date without a time zone is in the time zone of the DAG.
        """
        moment = instant_of(execution_date or self.start_date or datetime(1970, 1, 1, tzinfo=UTC), self.timezone)
        interval = self.schedule.interval_of(moment)
        given = {"run_id": run_id_of(moment), "data_interval": DataInterval(interval.start, interval.end), **fields}
        return AttemptInfo(dag_id=self.dag_id, task_id=self.task_id, logical_date=moment, **given)

    def run(
        self,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        *,
        ignore_dependencies: bool = False,
        force: bool = False,
        mark_success: bool = False,
    ) -> Any:
        """Run the task in this process for the logical dates from `start_date` to `end_date`, both included.

        Args:
            start_date: By default that of the task.
            end_date: By default that of the task, else `start_date`.
            ignore_dependencies: Wait neither for upstream tasks nor for previous dates.
            force: Run again if the task already succeeded.
            mark_success: Mark the task as successful without running it.
        """
        first = instant_of(start_date, self.timezone) if start_date else self.start_date
        last = instant_of(end_date, self.timezone) if end_date else self.end_date or first
        options = {"ignore_dependencies": ignore_dependencies, "force": force, "mark_success": mark_success}
        return backend("task.run()").run_task(self, first, last, **options)

    def _date_setting(self, name: str) -> datetime | None:
        own = self.__dict__[f"_{name}"]
        if own is not None:
            return instant_of(own, self.timezone, what=name)
        return getattr(self._dag, name) if self._dag else None

    def _depend_on(self, value: Any) -> None:
        """Depend on all tasks whose outputs a value contains."""
        if self._is_detached:
            return
        for reference in references(value):
            add_dependency(reference.task, self, implied=True)
        for task_id in formatted_task_ids(value) if self._dag else ():
            # Without the dependency, the value might not exist yet, and the template would render as `None`.
            task = self._dag.task_dict.get(task_id) if self._dag else None
            if task is not None and task is not self:
                add_dependency(task, self, implied=True)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        # A field that contains the output of another task makes this one depend on it.
        if name in self.rendered_fields and "implied" in self.__dict__:
            self._depend_on(value)

    def __str__(self) -> str:
        return f"<Task({self.operator_type}): {self.task_id}>"

    __repr__ = __str__


def _pop_dag_and_group(given: dict[str, Any]) -> tuple[DagLike | None, GroupLike | None]:
    """Remove the DAG and the group from the settings of a new task; by default return those with open blocks."""
    if is_detached():
        return given.pop("dag", None), None
    group: GroupLike | None = given.pop("task_group", None)
    dag: DagLike | None = given.pop("dag", None)
    around = current_group()
    if group is None and around is not None and dag in (None, around.dag):
        group = around
    return dag or (group.dag if group else None) or current_dag(), group


class PartialOperator:
    """Arguments that all copies of a mapped task share; `expand` takes those that differ.

    Args:
        operator_class: The class of the copies.
        arguments: Shared arguments by name.
        into: The argument, a dict, that receives the expanded values; None if they are arguments of the operator.
    """

    def __init__(
        self, operator_class: type[BaseOperator], arguments: Mapping[str, Any], into: str | None = None
    ) -> None:
        self.operator_class, self.arguments, self.into = operator_class, dict(arguments), into

    def expand(self, **lists: Any) -> "MappedOperator":
        """Return a mapped task with a copy for each element of a list, or for each combination of several lists.

        Args:
            lists: For each argument a list, a dict (one copy per item), or the output of a task.

        Raises:
            MappingError: A value is not a list, or an argument is given twice.
        """
        for name, values in lists.items():
            if not isinstance(values, list | tuple | range | dict | XComArg):
                raise MappingError(
                    f"{self._title}: expand({name}=...) must be a list, a dict or the output of a task, "
                    f"got {type(values).__name__}."
                )
        return self._mapped(lists, ())

    def expand_kwargs(self, rows: Sequence[Mapping[str, Any]] | XComArg) -> "MappedOperator":
        """Return a mapped task with a copy for each dict of arguments in a list, or in the output of a task.

        Raises:
            MappingError: `rows` is not a list of dicts.
        """
        if not isinstance(rows, XComArg | list | tuple) or (
            not isinstance(rows, XComArg) and not all(isinstance(row, dict) for row in rows)
        ):
            raise MappingError(f"{self._title}: expand_kwargs() must get a list of dicts, or the output of a task.")
        return self._mapped({}, rows)

    @property
    def _title(self) -> str:
        return f"{self.operator_class.__name__} {self.arguments.get('task_id')!r}"

    def _mapped(self, lists: dict[str, Any], rows: Any) -> "MappedOperator":
        names = {name for row in rows for name in row} if isinstance(rows, list | tuple) else set[str]()
        if not lists and not isinstance(rows, XComArg) and not names:
            raise MappingError(f"{self._title}: nothing to expand. Name at least one argument.")
        shared = self.arguments if self.into is None else self.arguments.get(self.into, {})
        twice = sorted((set(lists) | names) & shared.keys())
        if twice:
            raise MappingError(f"{self._title}: {twice[0]!r} is both shared and expanded. Remove one of the two.")
        settings = sorted((set(lists) | names) & _SHARED_SETTINGS) if self.into is None else []
        if settings:
            raise MappingError(f"{self._title}: {settings[0]!r} must be the same for all copies. Pass it to partial().")
        return MappedOperator(self, lists, rows)


class MappedOperator(BaseOperator):
    """A task with several instances in a run, numbered from 0 by `map_index`.

    Args:
        partial: The class and the shared arguments of the copies.
        lists: The differing values by argument, see `Expansion`.
        rows: The differing arguments by copy, if `lists` is empty.
    """

    def __init__(self, partial: PartialOperator, lists: Mapping[str, Any], rows: Any = ()) -> None:
        arguments = partial.arguments
        super().__init__(**{name: value for name, value in arguments.items() if name in _SHARED_SETTINGS})
        self.operator_class, self.into = partial.operator_class, partial.into
        self.arguments = {name: value for name, value in arguments.items() if name not in ("dag", "task_group")}
        self.expansion = Expansion(str(self), lists, rows)
        self._depend_on([list(self.arguments.values()), list(self.expansion.lists.values()), rows])
        known = self.known_count
        if known is not None:
            self.expansion.check_count(known)
        if known and not self.expansion.has_references and not any(references(list(self.arguments.values()))):
            # All arguments are known, so an invalid one fails the definition and not the run.
            self.copy_at(0, _no_outputs)

    @property
    def operator_type(self) -> str:
        return self.operator_class.__name__

    @property
    def is_mapped(self) -> bool:
        return True

    @property
    def is_sensor(self) -> bool:  # type: ignore[override]
        return self.operator_class.is_sensor

    @property
    def known_count(self) -> int | None:
        """Number of copies; None if it depends on the output of a task."""
        return self.expansion.known_count

    @property
    def mapped_over(self) -> MappedOver:
        """What the copies are counted from."""
        return self.expansion.mapped_over

    def count(self, pull: Pull) -> int:
        """Return the number of copies in a run.

        Args:
            pull: Returns a value that a task of the run pushed, as `pull(task_id, key)`.

        Raises:
            MappingError: The output of a task is not a list, or too long.
        """
        return self.expansion.count(pull)

    def copy_at(self, map_index: int, pull: Pull) -> BaseOperator:
        """Return a copy as a task with the same neighbours. The copy is not added to the DAG.

        Raises:
            MappingError: There is no such copy.
        """
        values = self.expansion.arguments_at(map_index, pull)
        pushed, written = self.expansion.split_by_origin(values)
        with without_registration():
            if self.into is not None:
                values = {self.into: {**self.arguments.get(self.into, {}), **values}}
            copy = self.operator_class(**{**self.arguments, **values, "task_id": self.task_id, "dag": self._dag})
        if pushed:
            copy.foreign_texts = ForeignTexts(pushed, [self.arguments, written])
        copy.upstream, copy.downstream, copy.group = self.upstream, self.downstream, self.group
        return copy


def _no_outputs(task_id: str, key: str) -> Any:
    """Return None for every output, while the DAG is defined."""
    return None
