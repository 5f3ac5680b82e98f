"""A DAG: tasks, the links between them, and when they run."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack
from zoneinfo import ZoneInfo

from elastic.core.suggest import closest_name
from elastic.dag.backend import backend
from elastic.dag.definition_scope import open_dags, register
from elastic.dag.errors import DefinitionError, DuplicateTaskError, ForeignTaskError, ScheduleError, UnknownTaskError
from elastic.dag.execution.coroutines import refuse_generators
from elastic.dag.files.helper_modules import HelperModules
from elastic.dag.ids import check_key
from elastic.dag.ignored_settings import DefaultArgs, warnings_of
from elastic.dag.operator import BaseOperator
from elastic.dag.task_settings import Callback, callbacks_of, check_default_args, check_names
from elastic.dag.timetable.interval import LogicalDate, instant_of, zone_name, zone_of
from elastic.dag.timetable.schedule import Schedule, schedule_of
from elastic.dag.timetable.timeperiod import timeperiod_of

if TYPE_CHECKING:
    from elastic.dag.execution.action import Action
    from elastic.dag.execution.task_instance import TaskInstance
    from elastic.dag.task_group import TaskGroup

When = datetime | date | str | None


class DagSettings(TypedDict, total=False):
    """The keywords of a DAG; `DAG` says what each means."""

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
    timezone: str | tzinfo | None
    is_paused_upon_creation: bool
    executor: Any


class DAG:
    """Tasks and their links. Tasks made in its `with` block belong to it.

    Args:
        dag_id: A key, unique among all DAGs.
        schedule: When it runs (also `schedule_interval`): a cron text, a timedelta, `@daily` and the like, or None.
            Daily by default.
        start_date, end_date: The first and last logical date; what has no time zone is read in `timezone`.
        catchup: Also run the intervals that passed before the DAG was first seen.
        max_active_runs: How many runs may be going on at once.
        concurrency: How many task instances may be going on at once (also `parallelism`); 0 for no limit.
        default_args: Settings of tasks that do not say otherwise.
        params: A dict, module or object; `params` in templates.
        tags, owner, doc: What the DAG is about, who answers for it, and a text in Markdown.
        user_defined_macros: Names and values or functions for templates.
        template_searchpath: Folders of template files, searched after that of the DAG's own file.
        on_success_callback, on_failure_callback: A function, or several, called with the context when a run has ended.
        timezone: The clock by which it runs and by which dates in templates are written; by default that of
            `start_date`, and UTC where that has none.
        is_paused_upon_creation: Do not run before somebody says so.
        executor: What runs the tasks, where it is not that of the installation.

    Raises:
        DefinitionError: A setting is unknown or cannot be what it is; the error names it.
    """

    def __init__(self, dag_id: str, **settings: Unpack[DagSettings]) -> None:
        self.dag_id = check_key("dag_id", dag_id)
        title = f"DAG {dag_id!r}"
        check_names(title, settings, DagSettings.__annotations__)
        #: names of the settings that are given
        self.asked = frozenset(settings)
        self.default_args = DefaultArgs(dict(settings.get("default_args") or {}))
        check_default_args(title, self.default_args)
        self.owner = settings.get("owner") or self.default_args.get("owner") or "elastic"
        start = settings.get("start_date") or self.default_args.get("start_date")
        self._warnings: list[str] = []
        self.timezone = self._clock(settings.get("timezone"), start)
        self.start_date = self._instant(start, "start_date")
        self.end_date = self._instant(settings.get("end_date") or self.default_args.get("end_date"), "end_date")
        if self.start_date and self.end_date and self.end_date < self.start_date:
            raise ScheduleError(f"{title} ends ({self.end_date}) before it starts ({self.start_date}).")
        self.schedule_interval = _one_of(title, settings, ("schedule", "schedule_interval"), timedelta(days=1))
        self.schedule: Schedule = schedule_of(self.schedule_interval, self.timezone, self.start_date)
        self.concurrency: int = _count(title, settings, ("concurrency", "parallelism"), 16, smallest=0)
        self.max_active_runs: int = _count(title, settings, ("max_active_runs",), 16, smallest=1)
        self.catchup: bool = settings.get("catchup", True)
        self.is_paused_upon_creation: bool = settings.get("is_paused_upon_creation", False)
        self.params: Any = settings.get("params") if settings.get("params") is not None else {}
        self.tags: tuple[str, ...] = tuple(settings.get("tags", ()))
        self.doc: str = settings.get("doc", "")
        self.user_defined_macros: dict[str, Any] = dict(settings.get("user_defined_macros") or {})
        for name in ("on_success_callback", "on_failure_callback"):
            refuse_generators(title, name, settings.get(name))
        self.on_success_callback = callbacks_of(title, "on_success_callback", settings.get("on_success_callback"))
        self.on_failure_callback = callbacks_of(title, "on_failure_callback", settings.get("on_failure_callback"))
        self.executor: Any = settings.get("executor")
        #: the file that made the DAG
        self.fileloc = _caller()
        #: a DAG bag made it from that file, which can be done again anywhere
        self.is_of_file = False
        #: the modules that its file imports from its own folders
        self.helpers = HelperModules()
        self.template_searchpath = _folders(settings.get("template_searchpath", ()))
        #: tasks by id, in the order in which they were made
        self.task_dict: dict[str, BaseOperator] = {}
        #: of a part of a DAG: the ids of the tasks that only the whole has
        self.left_out: frozenset[str] = frozenset()
        self.groups: dict[str, TaskGroup] = {}
        self._tokens: list[Token[Any]] = []

    @property
    def parallelism(self) -> int:
        """Another name of `concurrency`."""
        return self.concurrency

    @property
    def zone(self) -> ZoneInfo:
        """The clock of the DAG."""
        return zone_of(self.timezone)

    @property
    def folder(self) -> Path:
        """The folder of the file that made the DAG."""
        return Path(self.fileloc).parent

    @property
    def root(self) -> Path:
        """The folder of all DAGs, of which the file is one; that of the file, where it was found alone."""
        return Path(self.helpers.folders[-1]) if self.helpers.folders else self.folder

    @property
    def warnings(self) -> list[str]:
        """A sentence for each thing that the definition asks for and does not get."""
        return [*self._warnings, *warnings_of(self)]

    @property
    def tasks(self) -> list[BaseOperator]:
        """All tasks, in the order in which they were made."""
        return list(self.task_dict.values())

    @property
    def task_ids(self) -> list[str]:
        """The ids of all tasks, in the order in which they were made."""
        return list(self.task_dict)

    @property
    def task_count(self) -> int:
        """How many tasks there are."""
        return len(self.task_dict)

    @property
    def roots(self) -> list[BaseOperator]:
        """The tasks that come after no other."""
        return [task for task in self.tasks if not task.upstream]

    @property
    def leaves(self) -> list[BaseOperator]:
        """The tasks that no other comes after."""
        return [task for task in self.tasks if not task.downstream]

    def add_task(self, task: BaseOperator) -> None:
        """Take a task into the DAG; once it is there, this does nothing.

        Raises:
            DuplicateTaskError: Another task, or a group, has its id.
            ForeignTaskError: It belongs to another DAG.
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

    def get_task(self, task_id: str) -> BaseOperator:
        """Return a task by id.

        Raises:
            UnknownTaskError: There is none; the error names the one that is most like it.
        """
        if task_id in self.task_dict:
            return self.task_dict[task_id]
        raise UnknownTaskError(self.dag_id, str(task_id), closest_name(str(task_id), self.task_dict))

    def has_task(self, task_id: str) -> bool:
        """Say whether there is a task of this id."""
        return task_id in self.task_dict

    def set_dependency(self, upstream_task_id: str, downstream_task_id: str) -> None:
        """Say by their ids that one task comes after another."""
        self.get_task(upstream_task_id).set_downstream(self.get_task(downstream_task_id))

    def crawl_for_tasks(self, objects: Mapping[str, Any] | Iterable[Any]) -> None:
        """Take in all tasks among objects that belong to no DAG, as in `dag.crawl_for_tasks(globals())`."""
        for thing in list(objects.values() if isinstance(objects, Mapping) else objects):
            if isinstance(thing, BaseOperator) and not thing.has_dag:
                self.add_task(thing)

    def append(
        self,
        name: str,
        dependent_on_names: Sequence[str] = (),
        main_action: "Action | None" = None,
        pre_actions: "Sequence[Action]" = (),
        post_actions: "Sequence[Action]" = (),
        *,
        skip: bool = False,
    ) -> Self:
        """Add a step whose main work is an action, and return the DAG, so that calls can be chained.

        Raises:
            UnknownTaskError: It depends on a step that is not there yet.
            DefinitionError: Its name is `start` or `finish`, which views use for the two ends of the graph.
        """
        from elastic.dag.execution.action_operator import append

        append(self, name, tuple(dependent_on_names), main_action, (tuple(pre_actions), tuple(post_actions)), skip=skip)
        return self

    def topological(self) -> Iterator[BaseOperator]:
        """Yield all tasks, each after those before it, otherwise in the order in which they were made."""
        from elastic.dag.traversal import topological

        return topological(self.tasks)

    def sub_dag(self, task_regex: str, *, include_downstream: bool = False, include_upstream: bool = True) -> "DAG":
        """Return a copy with only the tasks whose ids match somewhere, and those before (or after) them.

        Raises:
            DefinitionError: The text is no regular expression.
        """
        from elastic.dag.traversal import sub_dag

        return sub_dag(self, task_regex, include_downstream=include_downstream, include_upstream=include_upstream)

    def tree(self) -> str:
        """Return the tasks as an indented text: last ones first, below each the tasks directly before it."""
        from elastic.dag.traversal import tree

        return tree(self.leaves)

    def tree_view(self) -> None:
        """Print the tasks as an indented text: last ones first, below each the tasks directly before it."""
        sys.stdout.write(self.tree() + "\n")

    def timeperiod(self, logical_date: When) -> str:
        """Return the short name of the run of a logical date."""
        return timeperiod_of(self.instant(logical_date), self.schedule)

    def instant(self, value: When) -> datetime:
        """Return a date as an instant in UTC; what has no time zone is read on the clock of the DAG."""
        return instant_of(value if value is not None else "", self.timezone)

    def logical_date(self, instant: datetime) -> LogicalDate:
        """Return an instant on the clock of the DAG."""
        return LogicalDate.of(instant, self.zone)

    def run(self, start_date: When = None, end_date: When = None, **options: Any) -> Any:
        """Backfill the logical dates from `start_date` to `end_date`, both included, with the DAG's executor."""
        first, last = self._range(start_date, end_date)
        return backend("dag.run()").run_dag(self, first, last, **options)

    def test(self, logical_date: When = None, **options: Any) -> Any:
        """Run all tasks once in this process, one after another, and keep nothing."""
        return backend("dag.test()").test_dag(self, self._instant(logical_date, "date"), **options)

    def clear(self, start_date: When = None, end_date: When = None, **options: Any) -> int:
        """Clear the instances of all tasks in a range, as if they never ran, and return how many there were."""
        first, last = self._range(start_date, end_date)
        return backend("dag.clear()").clear_dag(self, first, last, **options)

    def get_task_instances(
        self, start_date: When = None, end_date: When = None, state: str | None = None
    ) -> "Sequence[TaskInstance]":
        """Return the instances in a range, of one state or of any."""
        first, last = self._range(start_date, end_date)
        return backend("dag.get_task_instances()").task_instances(self, first, last, state)

    @property
    def latest_execution_date(self) -> datetime | None:
        """The logical date of the latest run, None if there was none."""
        return backend("dag.latest_execution_date").latest_execution_date(self)

    def db_merge(self) -> None:
        """Store in the database what the DAG looks like now."""
        backend("dag.db_merge()").merge_dag(self)

    def pickle(self) -> None:
        """Refuse: a pickle in a database runs whatever somebody wrote there.

        Raises:
            DefinitionError: Always; it names what to use.
        """
        raise DefinitionError(
            f"DAG {self.dag_id!r} cannot be pickled: whoever can write a row could run code with it; "
            "use `elastic run --bundle`, which ships signed source."
        )

    def __enter__(self) -> Self:
        self._tokens.append(open_dags.set((*open_dags.get(), self)))
        return self

    def __exit__(self, *raised: object) -> None:
        open_dags.reset(self._tokens.pop())
        # The block may have no `as`.
        register(self)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self.task_dict

    def __str__(self) -> str:
        return f"<DAG: {self.dag_id}>"

    __repr__ = __str__

    def _clock(self, timezone: str | tzinfo | None, start: When) -> str:
        """Return the name of the zone by which the DAG runs."""
        if timezone is not None:
            name = zone_name(timezone)
            if name is None:
                raise ScheduleError(
                    f"DAG {self.dag_id!r}: timezone={timezone!r} has no name; write one like 'UTC' or 'Europe/Berlin'."
                )
            return name
        zone = start.tzinfo if isinstance(start, datetime) else None
        if isinstance(start, str):
            with suppress(ValueError):
                zone = datetime.fromisoformat(start).tzinfo
        name = "UTC" if zone is None else zone_name(zone)
        if name is None:
            self._warnings.append(
                f"the zone of its start_date ({zone}) has no name, so the DAG runs by UTC; name one with timezone=."
            )
        return name or "UTC"

    def _range(self, start_date: When, end_date: When) -> tuple[datetime | None, datetime | None]:
        return self._instant(start_date, "start_date"), self._instant(end_date, "end_date")

    def _instant(self, value: When, what: str) -> datetime | None:
        zone_of(self.timezone)
        return None if value is None else instant_of(value, self.timezone, what=what)


def _one_of(title: str, settings: Mapping[str, Any], names: Sequence[str], default: Any) -> Any:
    given = [name for name in names if name in settings]
    if len(given) > 1:
        raise DefinitionError(f"{title} is given both {given[0]} and {given[1]}, which are one setting; remove one.")
    return settings[given[0]] if given else default


def _count(title: str, settings: Mapping[str, Any], names: Sequence[str], default: int, *, smallest: int) -> int:
    value = _one_of(title, settings, names, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise DefinitionError(f"{title}: {names[0]}={value!r} cannot be; give a whole number from {smallest}.")
    return value


def _folders(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    return tuple(Path(folder) for folder in ([given] if isinstance(given, str | Path) else given))


def _caller() -> str:
    """Return the file of the code outside this package that is defining something."""
    own = str(Path(__file__).parent)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(own):
        frame = frame.f_back
    return frame.f_code.co_filename
