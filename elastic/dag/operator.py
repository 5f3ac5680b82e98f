"""The operator contract: what users derive a kind of task from."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Unpack
from zoneinfo import ZoneInfo

from elastic.dag.backend import backend
from elastic.dag.context import Context
from elastic.dag.definition_scope import current_dag, current_group, is_detached
from elastic.dag.dependencies import DependencyMixin, add_dependency, reach
from elastic.dag.errors import DefinitionError
from elastic.dag.execution.action import Action
from elastic.dag.execution.task_instance import AttemptInfo
from elastic.dag.files.helper_modules import HelperModules
from elastic.dag.ids import check_key, run_id_of
from elastic.dag.states.trigger_rule import TriggerRule
from elastic.dag.task_settings import DEFAULTS, Callback, TaskSettings, check_names, resolve_settings
from elastic.dag.timetable.interval import DataInterval, instant_of, zone_of
from elastic.dag.timetable.schedule import Schedule, schedule_of
from elastic.dag.xcom_arg import XComArg, named_in_text, references

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.mapped_operator import PartialOperator
    from elastic.dag.task_group import TaskGroup
    from elastic.dag.templating.literals import ForeignTexts


class BaseOperator(DependencyMixin):
    """A task: derive it, keep your arguments in `__init__`, and do the work in `execute`.

    An object is a definition. It lives as long as its DAG file is loaded; each attempt works on a shallow copy whose
    `template_fields` are rendered, so `execute` may set attributes of `self` and nobody else sees them.

    Args:
        task_id: A key, unique in the DAG.
        owner: Who answers for the task; by default the owner of the DAG.
        dag: The DAG; by default the one whose `with` block is open. A task may live without.
        task_group: The group; by default the one whose `with` block is open.
        start_date, end_date: The first and last logical date of the task (None: those of the DAG).
        schedule_interval: For a task without a DAG; the schedule of a DAG wins over it.
        retries: How often a failed attempt is tried again.
        retry_delay: How long to wait before, a timedelta or seconds; doubled each time with
            `retry_exponential_backoff`, up to `max_retry_delay`, and varied by the share `retry_jitter` (0 to 1).
        execution_timeout: How long an attempt may take, a timedelta or seconds; None for no limit.
        trigger_rule: When the task may start, by the states of the tasks before it.
        depends_on_past: Wait until the same task succeeded on the date before.
        wait_for_downstream: Wait as well until the tasks directly after it succeeded on the date before.
        pool, pool_slots: Which limit the task shares with others, and how much of it one instance takes.
        priority_weight: Instances of greater weight start first.
        queue: Which workers may run it, where an executor has several kinds.
        on_success_callback, on_failure_callback, on_retry_callback: Called with the context after an attempt.
        params: A dict, module or any object with public attributes; `params` in templates.
        pre, post: Actions before and after the main work.
        skip: Do nothing, count as complete.
        doc: What the task is for, in Markdown.
        email, email_on_failure, email_on_retry: Whom to tell of failures, and of which.
        resources: What the task needs: `cpus`, `memory` in bytes, `custom` resources by name.
        env: Environment variables for the work.
        do_xcom_push: Pass on what `execute` returns.

    Raises:
        DefinitionError: A setting is unknown or cannot be what it is; the error names the task and the setting.
    """

    #: Names of the attributes in which Jinja templates are rendered before `execute`.
    template_fields: ClassVar[Sequence[str]] = ()
    #: A field that is a name with one of these endings is a file, and the template is what the file holds.
    template_ext: ClassVar[Sequence[str]] = ()
    #: The fields that may name such a file; None for all. Others are never read from files.
    file_fields: ClassVar[Sequence[str] | None] = None
    #: What to draw behind the name of the task, a CSS colour.
    ui_color: ClassVar[str] = "#f4f4f4"

    #: texts of other tasks that a mapped copy was made with
    foreign_texts: "ForeignTexts | None" = None

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
    asked: frozenset[str]

    def __init__(self, task_id: str, owner: str | None = None, **settings: Unpack[TaskSettings]) -> None:
        given: dict[str, Any] = dict(settings)
        dag, group = _home(given)
        task_id = group.child_id(task_id) if group else task_id
        self.task_id = check_key("task_id", task_id)
        title = f"{type(self).__name__} {task_id!r}"
        check_names(title, given)
        #: what the DAG says for all its tasks; operators look up their own settings there with `default`
        self.default_args: Mapping[str, Any] = dag.default_args if dag else {}
        inherited = {name: value for name, value in self.default_args.items() if name in DEFAULTS}
        self.owner = str(owner or self.default_args.get("owner") or (dag.owner if dag else "") or "elastic")
        #: names of the settings that the task or the DAG's default_args give
        self.__dict__["asked"] = frozenset(inherited) | given.keys()
        for name, value in resolve_settings(title, {**inherited, **given}).items():
            setattr(self, f"_{name}" if name in _DATES else name, value)
        #: tasks directly before and after, by id
        self.upstream: dict[str, BaseOperator] = {}
        self.downstream: dict[str, BaseOperator] = {}
        #: ids of those before it whose values it uses, without an arrow that says so
        self.implied: set[str] = set()
        #: a number that is greater than those of all tasks before
        self.rank = next(_ranks)
        self.group = group
        self._is_detached = is_detached()
        self._dag: DAG | None = dag if self._is_detached else None
        if dag and not self._is_detached:
            dag.add_task(self)
        if group:
            group.add(self)
        for name in self.rendered_fields:
            self._depend_on(self.__dict__.get(name))

    def execute(self, *arguments: Any, **named: Any) -> Any:
        """Do the work of an attempt, and return what is passed on to later tasks (None for nothing).

        Called once per attempt, on a copy of the task. Its parameters are filled by name from the context:
        `execute(self, execution_date)`, `execute(self, ds, params)`; one called `context` gets all of it. An exception
        is a failure; `TaskSkipped` ends the attempt as skipped.
        """
        raise NotImplementedError(f"{type(self).__name__} has no execute(); a task's class says what it does there.")

    def on_kill(self) -> None:
        """Stop what `execute` started outside this process. Called when an attempt times out or is stopped."""

    def rollback(self, context: Context) -> None:
        """Undo what `execute` did, after a post action failed. Called before the pre actions are rolled back."""

    def cleanup(self, context: Context) -> None:
        """Let go of what the attempt holds. Called once after `execute`, a failed one too."""

    def skipped_after(self, result: Any) -> list[str]:
        """Return the ids of the tasks that are skipped because `execute` returned `result`."""
        return []

    def default(self, name: str, given: Any, otherwise: Any = None) -> Any:
        """Return a setting of the operator's own: as given, else of the DAG's default_args, else another value.

        For the `__init__` of operators, after that of this class: `self.conn_id = self.default("conn_id", conn_id)`.
        """
        return given if given is not None else self.default_args.get(name, otherwise)

    @property
    def has_dag(self) -> bool:
        """The task belongs to a DAG."""
        return self._dag is not None

    @property
    def dag(self) -> "DAG":
        """The DAG of the task.

        Raises:
            DefinitionError: It has none.
        """
        if self._dag is None:
            raise DefinitionError(f"task {self.task_id!r} belongs to no DAG; give it one with dag=.")
        return self._dag

    @dag.setter
    def dag(self, dag: "DAG") -> None:
        dag.add_task(self)

    @property
    def helpers(self) -> HelperModules:
        """The helper modules of the file of the DAG; code of the task runs while they are installed."""
        return self._dag.helpers if self._dag else HelperModules()

    @property
    def dag_id(self) -> str:
        """The id of the DAG, `adhoc_<owner>` without one."""
        return self._dag.dag_id if self._dag else f"adhoc_{self.owner}"

    @property
    def timezone(self) -> str:
        """The name of the time zone of the DAG."""
        return self._dag.timezone if self._dag else "UTC"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the DAG."""
        return zone_of(self.timezone)

    @property
    def start_date(self) -> datetime | None:
        """The first logical date, in UTC; None where neither the task nor the DAG has one."""
        return self._limit("start_date")

    @property
    def end_date(self) -> datetime | None:
        """The last logical date, in UTC; None where neither the task nor the DAG has one."""
        return self._limit("end_date")

    @property
    def schedule_interval(self) -> Any:
        """What says when the task runs: of the DAG, where it has one."""
        return self._dag.schedule_interval if self._dag else self._schedule_interval

    @property
    def own_schedule_interval(self) -> Any:
        """What the task itself says of its schedule, which counts only without a DAG."""
        return self._schedule_interval

    @property
    def schedule(self) -> Schedule:
        """When the task runs: of the DAG, where it has one."""
        return self._dag.schedule if self._dag else schedule_of(self._schedule_interval, "UTC", self.start_date)

    @property
    def operator_type(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def is_mapped(self) -> bool:
        """The task becomes several instances, one for each element of a list."""
        return False

    @property
    def rendered_fields(self) -> tuple[str, ...]:
        """The template fields, as a tuple where a class names only one."""
        fields = self.template_fields
        return (fields,) if isinstance(fields, str) else tuple(fields)

    @property
    def log(self) -> logging.Logger:
        """The logger of the task; what goes there is kept in the log of the attempt."""
        return logging.getLogger(f"elastic.task.{self.task_id}")

    @property
    def output(self) -> XComArg:
        """What the task will return: give it to another task, which then comes after this one."""
        return XComArg(self)

    @property
    def upstream_list(self) -> "list[BaseOperator]":
        """The tasks directly before this one."""
        return list(self.upstream.values())

    @property
    def downstream_list(self) -> "list[BaseOperator]":
        """The tasks directly after this one."""
        return list(self.downstream.values())

    def get_direct_relatives(self, *, upstream: bool = False) -> "list[BaseOperator]":
        """Return the tasks directly after this one, or before it."""
        return self.upstream_list if upstream else self.downstream_list

    def get_flat_relatives(self, *, upstream: bool = False) -> "list[BaseOperator]":
        """Return all tasks after this one, or before it, on every level, each once."""
        return reach(self, upstream=upstream)

    def first_tasks(self) -> "list[BaseOperator]":
        return [self]

    last_tasks = first_tasks

    @classmethod
    def partial(cls, task_id: str, **arguments: Any) -> "PartialOperator":
        """Keep the arguments that all copies of a mapped task share; `expand` gives those that differ."""
        from elastic.dag.mapped_operator import PartialOperator

        return PartialOperator(cls, {"task_id": task_id, **arguments})

    def facts_of(self, execution_date: datetime | date | str | None, **facts: Any) -> AttemptInfo:
        """Return the facts of an attempt for a logical date; what has no time zone is read in that of the DAG."""
        moment = instant_of(execution_date or self.start_date or datetime(1970, 1, 1, tzinfo=UTC), self.timezone)
        interval = self.schedule.interval_of(moment)
        given = {"run_id": run_id_of(moment), "data_interval": DataInterval(interval.start, interval.end), **facts}
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
        """Run the task for the logical dates from `start_date` to `end_date`, both included, in this process.

        Args:
            start_date: None means that of the task.
            end_date: None means that of the task, else the start.
            ignore_dependencies: Wait neither for tasks before it nor for dates before.
            force: Run again what succeeded.
            mark_success: Do not run, only say that it succeeded.
        """
        first = instant_of(start_date, self.timezone) if start_date else self.start_date
        last = instant_of(end_date, self.timezone) if end_date else self.end_date or first
        options = {"ignore_dependencies": ignore_dependencies, "force": force, "mark_success": mark_success}
        return backend("task.run()").run_task(self, first, last, **options)

    def _limit(self, name: str) -> datetime | None:
        own = self.__dict__[f"_{name}"]
        if own is not None:
            return instant_of(own, self.timezone, what=name)
        return getattr(self._dag, name) if self._dag else None

    def _depend_on(self, value: Any) -> None:
        if self._is_detached:
            return
        for reference in references(value):
            add_dependency(reference.task, self, implied=True)
        for task_id in named_in_text(value) if self._dag else ():
            # Without the link the value might not be there yet, and the text would say `None`.
            task = self._dag.task_dict.get(task_id) if self._dag else None
            if task is not None and task is not self:
                add_dependency(task, self, implied=True)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        # A field that holds the output of another task makes this one come after it.
        if name in self.rendered_fields and "implied" in self.__dict__:
            self._depend_on(value)

    def __str__(self) -> str:
        return f"<Task({self.operator_type}): {self.task_id}>"

    __repr__ = __str__


def _home(given: dict[str, Any]) -> "tuple[DAG | None, TaskGroup | None]":
    """Take the DAG and the group of a new task out of its settings, or find those whose blocks are open."""
    if is_detached():
        return given.pop("dag", None), None
    group: TaskGroup | None = given.pop("task_group", None)
    dag: DAG | None = given.pop("dag", None)
    around = current_group()
    if group is None and around is not None and dag in (None, around.dag):
        group = around
    return dag or (group.dag if group else None) or current_dag(), group


_ranks = count()

#: Settings that the task keeps as given under `_name`, because what they mean depends on the DAG.
_DATES = ("start_date", "end_date", "schedule_interval")
