"""DAGs: tasks, their dependencies, and a schedule."""

import copy
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack
from zoneinfo import ZoneInfo

from elastic.core.suggest import closest_name
from elastic.dag import traversal
from elastic.dag.backend import backend
from elastic.dag.deadline import Deadline, deadlines_of
from elastic.dag.definition_scope import open_dags, register
from elastic.dag.errors import DefinitionError, DuplicateTaskError, ForeignTaskError, ScheduleError, UnknownTaskError
from elastic.dag.execution.action import Action
from elastic.dag.execution.action_operator import ActionOperator
from elastic.dag.execution.coroutines import check_not_generator
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.files.helper_modules import HelperModules
from elastic.dag.ids import check_key
from elastic.dag.ignored_settings import DefaultArgs, ignored_settings
from elastic.dag.operator import BaseOperator
from elastic.dag.recipients import recipients_of
from elastic.dag.task_group import TaskGroup
from elastic.dag.task_settings import Callback, callbacks_of, check_default_args, check_names
from elastic.dag.timetable.interval import LogicalDate, instant_of, zone_name, zone_of
from elastic.dag.timetable.schedule import Schedule, schedule_of
from elastic.dag.timetable.timeperiod import timeperiod_of

#: Names that views give to the two ends of the graph.
_RESERVED_STEP_NAMES = ("start", "finish")

When = datetime | date | str | None


class DagSettings(TypedDict, total=False):
    """Keyword arguments of a DAG; `DAG` documents them."""

    schedule: Any
    schedule_interval: Any
    start_date: When
    end_date: When
    catchup: bool
    max_active_runs: int
    concurrency: int
    parallelism: int
    default_args: Mapping[str, Any] | None
    params: Any
    tags: Sequence[str]
    owner: str
    doc: str
    user_defined_macros: Mapping[str, Any] | None
    template_searchpath: str | Path | Sequence[str | Path]
    on_success_callback: Callback | Sequence[Callback] | None
    on_failure_callback: Callback | Sequence[Callback] | None
    notify: str | Sequence[str] | None
    notify_on_success: bool
    timezone: str | tzinfo | None
    is_paused_upon_creation: bool
    executor: Any
    deadlines: Deadline | Sequence[Deadline] | None


class DAG:
    """Tasks, their dependencies and a schedule. Tasks defined in its `with` block belong to it.

    Args:
        dag_id: A key, unique among all DAGs.
        schedule: When the DAG runs (also `schedule_interval`): a cron expression, a timedelta, a preset like `@daily`,
            or None. Daily by default.
        start_date, end_date: The first and last logical date. A date without a time zone is in `timezone`.
        catchup: Also run the intervals that passed before the DAG was first seen.
        max_active_runs: Maximum number of concurrent runs.
        concurrency: Maximum number of concurrent task instances (also `parallelism`); 0 for no limit.
        default_args: Default settings of the tasks.
        params: A dict, a module or an object; `params` in templates.
        tags, owner, doc: Labels, the responsible person or team, and a description in Markdown.
        user_defined_macros: Values and functions for templates, by name.
        template_searchpath: Folders of template files, searched after the folder of the DAG file.
        on_success_callback, on_failure_callback: A function or several, called with the context when a run has ended.
        notify: Recipients of a notification when a run has failed: `mailto:` URLs and ids of connections.
        notify_on_success: Also notify them when a run has succeeded.
        timezone: The time zone of the schedule and of dates in templates; by default that of `start_date`, else UTC.
        is_paused_upon_creation: Do not run the DAG before a user unpauses it.
        executor: The executor for the tasks; by default that of the installation.
        deadlines: Times by which each run must have succeeded; a run that has not is late.

    Raises:
        DefinitionError: A setting is unknown or invalid; the error names it.
    """

    def __init__(self, dag_id: str, **settings: Unpack[DagSettings]) -> None:
        self.dag_id = check_key("dag_id", dag_id)
        title = f"DAG {dag_id!r}"
        check_names(title, settings, DagSettings.__annotations__)
        self.default_args = DefaultArgs(dict(settings.get("default_args") or {}))
        check_default_args(title, self.default_args)
        self.owner = settings.get("owner") or self.default_args.get("owner") or "elastic"
        start = settings.get("start_date") or self.default_args.get("start_date")
        self._warnings: list[str] = []
        self.timezone = self._timezone_name(settings.get("timezone"), start)
        self.start_date = self._instant(start, "start_date")
        self.end_date = self._instant(settings.get("end_date") or self.default_args.get("end_date"), "end_date")
        if self.start_date and self.end_date and self.end_date < self.start_date:
            raise ScheduleError(f"{title}: end_date {self.end_date} must not be before start_date {self.start_date}.")
        self.schedule_interval = _either(title, settings, ("schedule", "schedule_interval"), timedelta(days=1))
        self.schedule: Schedule = schedule_of(self.schedule_interval, self.timezone, self.start_date)
        self.concurrency: int = _count(title, settings, ("concurrency", "parallelism"), 16, minimum=0)
        self.max_active_runs: int = _count(title, settings, ("max_active_runs",), 16, minimum=1)
        self.catchup: bool = settings.get("catchup", True)
        self.is_paused_upon_creation: bool = settings.get("is_paused_upon_creation", False)
        self.params: Any = settings.get("params") if settings.get("params") is not None else {}
        self.tags: tuple[str, ...] = tuple(settings.get("tags", ()))
        self.doc: str = settings.get("doc", "")
        self.user_defined_macros: dict[str, Any] = dict(settings.get("user_defined_macros") or {})
        for name in ("on_success_callback", "on_failure_callback"):
            check_not_generator(title, name, settings.get(name))
        self.on_success_callback = callbacks_of(title, "on_success_callback", settings.get("on_success_callback"))
        self.on_failure_callback = callbacks_of(title, "on_failure_callback", settings.get("on_failure_callback"))
        self.notify = _recipients(title, settings.get("notify"))
        self.notify_on_success: bool = settings.get("notify_on_success", False)
        self.executor: Any = settings.get("executor")
        self.deadlines = _deadlines(title, settings.get("deadlines"))
        #: path of the file that defines the DAG
        self.fileloc = _caller()
        #: True if a DAG bag loaded it from that file, so that any process can load it again
        self.is_of_file = False
        #: modules that the file imports from its own folders
        self.helpers = HelperModules()
        self.template_searchpath = _folders(settings.get("template_searchpath", ()))
        #: tasks by id, in the order of definition
        self.task_dict: dict[str, BaseOperator] = {}
        #: ids of the tasks of the complete DAG that this subset of it lacks
        self.left_out: frozenset[str] = frozenset()
        self.groups: dict[str, TaskGroup] = {}
        self._tokens: list[Token[Any]] = []

    @property
    def parallelism(self) -> int:
        """Alias of `concurrency`."""
        return self.concurrency

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the schedule."""
        return zone_of(self.timezone)

    @property
    def folder(self) -> Path:
        """Folder of the DAG file."""
        return Path(self.fileloc).parent

    @property
    def root(self) -> Path:
        """Folder of all DAG files; the folder of this file if it was loaded alone."""
        return Path(self.helpers.folders[-1]) if self.helpers.folders else self.folder

    @property
    def warnings(self) -> list[str]:
        """A sentence for each setting that has no effect."""
        return [*self._warnings, *ignored_settings(self.tasks, self.default_args)]

    @property
    def tasks(self) -> list[BaseOperator]:
        """All tasks, in the order of definition."""
        return list(self.task_dict.values())

    @property
    def task_ids(self) -> list[str]:
        """Ids of all tasks, in the order of definition."""
        return list(self.task_dict)

    @property
    def task_count(self) -> int:
        """Number of tasks."""
        return len(self.task_dict)

    @property
    def roots(self) -> list[BaseOperator]:
        """Tasks without an upstream task."""
        return [task for task in self.tasks if not task.upstream]

    @property
    def leaves(self) -> list[BaseOperator]:
        """Tasks without a downstream task."""
        return [task for task in self.tasks if not task.downstream]

    def add_task(self, task: BaseOperator) -> None:
        """Add a task to the DAG; adding it again has no effect.

        Raises:
            DuplicateTaskError: Another task, or a group, has its id.
            ForeignTaskError: The task belongs to another DAG.
        """
        present = self.task_dict.get(task.task_id)
        if present is task:
            return
        if present is not None or task.task_id in self.groups:
            raise DuplicateTaskError(self.dag_id, task.task_id)
        if task.has_dag:
            raise ForeignTaskError(task.task_id, task.dag_id, self.dag_id)
        self.task_dict[task.task_id] = task
        task._dag = self

    def add_group(self, group: TaskGroup) -> None:
        """Add a task group to the DAG.

        Raises:
            DuplicateTaskError: A task, or another group, has its id.
        """
        if group.group_id in self.task_dict or group.group_id in self.groups:
            raise DuplicateTaskError(self.dag_id, group.group_id)
        self.groups[group.group_id] = group

    def get_task(self, task_id: str) -> BaseOperator:
        """Return a task by id.

        Raises:
            UnknownTaskError: There is no such task; the error names the most similar one.
        """
        if task_id in self.task_dict:
            return self.task_dict[task_id]
        raise UnknownTaskError(self.dag_id, str(task_id), closest_name(str(task_id), self.task_dict))

    def has_task(self, task_id: str) -> bool:
        """Return whether the DAG has a task with this id."""
        return task_id in self.task_dict

    def set_dependency(self, upstream_task_id: str, downstream_task_id: str) -> None:
        """Make one task depend on another, by their ids."""
        self.get_task(upstream_task_id).set_downstream(self.get_task(downstream_task_id))

    def crawl_for_tasks(self, objects: Mapping[str, Any] | Iterable[Any]) -> None:
        """Add all tasks without a DAG among some objects, as in `dag.crawl_for_tasks(globals())`."""
        for thing in list(objects.values() if isinstance(objects, Mapping) else objects):
            if isinstance(thing, BaseOperator) and not thing.has_dag:
                self.add_task(thing)

    def append(
        self,
        name: str,
        dependent_on_names: Sequence[str] = (),
        main_action: Action | None = None,
        pre_actions: Sequence[Action] = (),
        post_actions: Sequence[Action] = (),
        *,
        skip: bool = False,
    ) -> Self:
        """Add a task whose main work is an action, and return the DAG, so that calls can be chained.

        Raises:
            UnknownTaskError: It depends on a task that does not exist yet.
            DefinitionError: The name is `start` or `finish`, which views use for the two ends of the graph.
        """
        if name in _RESERVED_STEP_NAMES:
            raise DefinitionError(f"step name {name!r} is reserved for an end of the graph. Choose another one.")
        upstream = [self.get_task(one) for one in dependent_on_names]
        step = ActionOperator(
            main_action, task_id=name, dag=self, pre=tuple(pre_actions), post=tuple(post_actions), skip=skip
        )
        step.set_upstream(upstream)
        return self

    def topological(self) -> Iterator[BaseOperator]:
        """Yield all tasks in topological order; tasks on the same level keep the order of definition."""
        return traversal.topological(self.tasks)

    def sub_dag(self, task_regex: str, *, include_downstream: bool = False, include_upstream: bool = True) -> "DAG":
        """Return a copy with only the tasks whose ids contain a match, and their upstream (or downstream) tasks.

        Raises:
            DefinitionError: The regular expression is invalid.
        """
        try:
            pattern = re.compile(task_regex)
        except re.error as error:
            raise DefinitionError(f"{task_regex!r} is not a regular expression: {error}. Check its syntax.") from error
        wanted: set[str] = set()
        for task in self.tasks:
            if pattern.search(task.task_id):
                wanted.add(task.task_id)
                if include_upstream:
                    wanted.update(other.task_id for other in task.get_flat_relatives(upstream=True))
                if include_downstream:
                    wanted.update(other.task_id for other in task.get_flat_relatives(upstream=False))
        return self.subset(wanted)

    def subset(self, task_ids: Iterable[str]) -> "DAG":
        """Return a copy of the DAG with copies of some of its tasks, and only the dependencies between them."""
        wanted = set(task_ids)
        subset = copy.copy(self)
        subset.task_dict = {task.task_id: copy.copy(task) for task in self.tasks if task.task_id in wanted}
        subset.left_out = self.left_out | (frozenset(self.task_dict) - wanted)
        subset.groups = {}
        subset._tokens = []
        for task in subset.task_dict.values():
            task.upstream = {one: subset.task_dict[one] for one in task.upstream if one in wanted}
            task.downstream = {one: subset.task_dict[one] for one in task.downstream if one in wanted}
            task.implied = task.implied & wanted
            task.group = None
            task._dag = subset
        return subset

    def tree(self) -> str:
        """Return the tasks as an indented string: leaves first, each above its direct upstream tasks."""
        return traversal.tree(self.leaves)

    def tree_view(self) -> None:
        """Print the tasks as an indented string: leaves first, each above its direct upstream tasks."""
        sys.stdout.write(self.tree() + "\n")

    def timeperiod(self, logical_date: When) -> str:
        """Return the short name of the run of a logical date."""
        return timeperiod_of(self.instant(logical_date), self.schedule)

    def instant(self, value: When) -> datetime:
        """Return a date as an instant in UTC. A date without a time zone is in that of the DAG."""
        return instant_of(value if value is not None else "", self.timezone)

    def logical_date(self, instant: datetime) -> LogicalDate:
        """Return an instant in the time zone of the DAG."""
        return LogicalDate.of(instant, self.zone)

    def run(self, start_date: When = None, end_date: When = None, **options: Any) -> Any:
        """Backfill the logical dates from `start_date` to `end_date`, both included, with the DAG's executor."""
        first, last = self._range(start_date, end_date)
        return backend("dag.run()").run_dag(self, first, last, **options)

    def test(self, logical_date: When = None, **options: Any) -> Any:
        """Run all tasks once in this process, one after another, and store nothing."""
        return backend("dag.test()").test_dag(self, self._instant(logical_date, "date"), **options)

    def clear(self, start_date: When = None, end_date: When = None, **options: Any) -> int:
        """Reset the instances of all tasks in a range so that they run again, and return their number."""
        first, last = self._range(start_date, end_date)
        return backend("dag.clear()").clear_dag(self, first, last, **options)

    def get_task_instances(
        self, start_date: When = None, end_date: When = None, state: str | None = None
    ) -> Sequence[TaskInstance]:
        """Return the instances in a range, all or those in one state."""
        first, last = self._range(start_date, end_date)
        return backend("dag.get_task_instances()").task_instances(self, first, last, state)

    @property
    def latest_execution_date(self) -> datetime | None:
        """Logical date of the latest run; None if there is none."""
        return backend("dag.latest_execution_date").latest_execution_date(self)

    def db_merge(self) -> None:
        """Store the current definition of the DAG in the database."""
        backend("dag.db_merge()").merge_dag(self)

    def pickle(self) -> None:
        """Always raise an error: a pickle would let any writer of the database run code.

        Raises:
            DefinitionError: Always; it names the alternative.
        """
        raise DefinitionError(
            f"DAG {self.dag_id!r} cannot be pickled: a pickle lets any writer of the database run code. "
            "Use `elastic run --bundle`, which ships signed source."
        )

    def __enter__(self) -> Self:
        self._tokens.append(open_dags.set((*open_dags.get(), self)))
        return self

    def __exit__(self, *raised: object) -> None:
        open_dags.reset(self._tokens.pop())
        # A block without `as` leaves no variable that the loader could find.
        register(self)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self.task_dict

    def __str__(self) -> str:
        return f"<DAG: {self.dag_id}>"

    __repr__ = __str__

    def _timezone_name(self, timezone: str | tzinfo | None, start: When) -> str:
        """Return the name of the schedule's time zone."""
        if timezone is not None:
            name = zone_name(timezone)
            if name is None:
                raise ScheduleError(
                    f"DAG {self.dag_id!r}: timezone={timezone!r} has no name. Use a name like 'UTC' or 'Europe/Berlin'."
                )
            return name
        zone = start.tzinfo if isinstance(start, datetime) else None
        if isinstance(start, str):
            with suppress(ValueError):
                zone = datetime.fromisoformat(start).tzinfo
        name = "UTC" if zone is None else zone_name(zone)
        if name is None:
            self._warnings.append(
                f"the time zone of start_date ({zone}) has no name, so the DAG uses UTC. Pass a named one as timezone=."
            )
        return name or "UTC"

    def _range(self, start_date: When, end_date: When) -> tuple[datetime | None, datetime | None]:
        return self._instant(start_date, "start_date"), self._instant(end_date, "end_date")

    def _instant(self, value: When, what: str) -> datetime | None:
        zone_of(self.timezone)
        return None if value is None else instant_of(value, self.timezone, what=what)


def _either(title: str, settings: Mapping[str, Any], names: Sequence[str], default: Any) -> Any:
    given = [name for name in names if name in settings]
    if len(given) > 1:
        raise DefinitionError(f"{title}: {given[0]} and {given[1]} are the same setting. Remove one of the two.")
    return settings[given[0]] if given else default


def _count(title: str, settings: Mapping[str, Any], names: Sequence[str], default: int, *, minimum: int) -> int:
    value = _either(title, settings, names, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise DefinitionError(f"{title}: {names[0]} must be a whole number >= {minimum}, got {value!r}.")
    return value


def _recipients(title: str, given: Any) -> tuple[str, ...]:
    try:
        return recipients_of(given)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{title}: notify must be {error}.") from None


def _deadlines(title: str, given: Any) -> tuple[Deadline, ...]:
    try:
        return deadlines_of(given)
    except TypeError as error:
        raise DefinitionError(f"{title}: deadlines must be {error}, got {given!r}.") from None


def _folders(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    return tuple(Path(folder) for folder in ([given] if isinstance(given, str | Path) else given))


def _caller() -> str:
    """Return the file of the nearest calling code outside this package."""
    own = str(Path(__file__).parent)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(own):
        frame = frame.f_back
    return frame.f_code.co_filename
