"""One attempt of a task instance: the facts, and what user code may do with them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from elastic.dag.backend import backend
from elastic.dag.execution.xcom import RETURN_VALUE, DetachedXCom, XComStore, decode_xcom, encode_xcom
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.dag.timetable.interval import DataInterval, LogicalDate, utc

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptInfo:
    """The facts of one attempt."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    #: the first try is 1
    try_number: int = 1
    #: tells this attempt from every other; hand it to other systems as a fencing token
    attempt_uuid: str = ""
    #: aware; kept in UTC
    logical_date: datetime
    data_interval: DataInterval
    #: what the run was asked to know
    conf: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # In UTC, because two instants of the hour that autumn repeats are equal on one clock.
        object.__setattr__(self, "logical_date", utc(self.logical_date))

    @property
    def key(self) -> TaskKey:
        """Which task instance this is an attempt of."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, self.map_index)


class TaskInstance:
    """A task for a logical date: `ti` in the context of an attempt, or made by hand to ask about one.

    Args:
        task: The task.
        execution_date: The logical date; what has no time zone is read in that of the DAG.
        facts: The facts of an attempt. Without them those of the scheduled run are used.
        xcoms: Where values are passed from task to task.
    """

    def __init__(
        self,
        task: "BaseOperator",
        execution_date: datetime | str | None = None,
        *,
        facts: AttemptInfo | None = None,
        xcoms: XComStore | None = None,
    ) -> None:
        self.task = task
        self.facts = facts or task.facts_of(execution_date)
        self._xcoms = xcoms or DetachedXCom()
        #: how long the attempt took, once `set_duration` was called
        self.duration: timedelta | None = None

    @property
    def dag_id(self) -> str:
        return self.facts.dag_id

    @property
    def task_id(self) -> str:
        return self.facts.task_id

    @property
    def run_id(self) -> str:
        return self.facts.run_id

    @property
    def map_index(self) -> int:
        return self.facts.map_index

    @property
    def try_number(self) -> int:
        return self.facts.try_number

    @property
    def attempt_uuid(self) -> str:
        return self.facts.attempt_uuid

    @property
    def execution_date(self) -> LogicalDate:
        """The logical date, in the time zone of the DAG."""
        return LogicalDate.of(self.facts.logical_date, self.task.zone)

    logical_date = execution_date

    @property
    def key(self) -> TaskKey:
        """Which task instance this is."""
        return self.facts.key

    @property
    def log_filepath(self) -> str:
        """The path of the log below the folder of logs: `<dag>/<task>/<iso date>`."""
        return f"{self.dag_id}/{self.task_id}/{self.execution_date.replace(tzinfo=None).isoformat()}"

    def xcom_push(self, key: str, value: Any) -> None:
        """Pass a value on to later tasks of the run; a second one of the same key takes its place.

        Raises:
            XComError: The value is no JSON, or larger than 48 KiB.
        """
        self._xcoms.push(self.key, key, encode_xcom(value, task_id=self.task_id, key=key))

    def xcom_pull(
        self,
        task_ids: str | list[str] | tuple[str, ...],
        key: str = RETURN_VALUE,
        *,
        map_indexes: int | list[int] | None = None,
        default: Any = None,
    ) -> Any:
        """Return what tasks of the same run passed on.

        Args:
            task_ids: One id gives one value; a list gives a list.
            key: Under which name it was pushed; the default is what the task returned.
            map_indexes: Of a mapped task, which copies; None gives a list of all that returned something, in order.
            default: What stands for a value that is not there.
        """
        if not isinstance(task_ids, str):
            return [self.xcom_pull(one, key, map_indexes=map_indexes, default=default) for one in task_ids]
        found = self._xcoms.pull(self.dag_id, self.run_id, task_ids, key)
        values = {index: decode_xcom(text, task_id=task_ids, key=key) for index, text in found.items()}
        if isinstance(map_indexes, int):
            return values.get(map_indexes, default)
        if map_indexes is not None:
            return [values.get(index, default) for index in map_indexes]
        if -1 in values or not values:
            return values.get(-1, default)
        return [values[index] for index in sorted(values)]

    def command(
        self,
        *,
        mark_success: bool = False,
        force: bool = False,
        ignore_dependencies: bool = False,
        subdir: str | None = None,
    ) -> str:
        """Return the command that runs this instance, for a shell."""
        from shlex import join

        when = self.execution_date.replace(tzinfo=None).isoformat()
        words = ["elastic", "run", self.dag_id, self.task_id, when]
        flags = {"--mark_success": mark_success, "--force": force, "--ignore_dependencies": ignore_dependencies}
        words += [flag for flag, given in flags.items() if given]
        return join([*words, "--subdir", subdir] if subdir else words)

    def current_state(self) -> TaskState | None:
        """Return the state that the database has, None if it has none.

        A mapped task without the number of a copy has the state of its copies taken together.
        """
        found: TaskState | None = backend("current_state()").instance_state(self)
        return found

    @property
    def state(self) -> TaskState | None:
        """The state that the database has, None if it has none."""
        return self.current_state()

    def refresh_from_db(self) -> Any:
        """Return the row that the database has, None if there is none."""
        return backend("refresh_from_db()").instance_facts(self)

    def error(self) -> None:
        """Mark the instance as failed."""
        backend("error()").mark_instance(self, TaskState.FAILED)

    def are_dependencies_met(self, **options: Any) -> bool:
        """Say whether what must come before has come."""
        return all(verdict.met for verdict in backend("are_dependencies_met()").instance_verdicts(self, **options))

    def is_runnable(self, **options: Any) -> bool:
        """Say whether the instance could run now: dependencies, state, interval and retry delay."""
        return self.are_dependencies_met(**options)

    def ready_for_retry(self) -> bool:
        """Say whether the instance failed, may be tried again, and has waited long enough."""
        state = self.current_state()
        return state is TaskState.UP_FOR_RETRY and self.are_dependencies_met()

    def run(self, **options: Any) -> Any:
        """Run the instance in this process, and keep how it went."""
        return backend("run()").run_instance(self, **options)

    def set_duration(self, started_at: datetime, ended_at: datetime | None) -> timedelta | None:
        """Set and return how long the attempt took; None while it has not ended."""
        self.duration = None if ended_at is None else max(ended_at - started_at, timedelta())
        return self.duration

    def __str__(self) -> str:
        return f"<TaskInstance: {self.dag_id}.{self.task_id} {self.execution_date} [{self.run_id}]>"

    __repr__ = __str__
