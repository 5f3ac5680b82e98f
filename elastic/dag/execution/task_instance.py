"""Task instance: the object that user code sees as `ti`."""

import shlex
from datetime import datetime, timedelta
from typing import Any

from elastic.dag.backend import backend
from elastic.dag.execution.attempt_info import AttemptInfo
from elastic.dag.execution.xcom import RETURN_VALUE, DetachedXCom, XComStore, decode_xcom, encode_xcom
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.timetable.interval import LogicalDate


class TaskInstance:
    """A task on a logical date, for user code: passes XComs, and queries or changes the stored instance.

    `ti` in the context of an attempt; users may also create one to query an instance. Ids and dates come from its
    `AttemptInfo`.

    Args:
        task: The task.
        execution_date: The logical date. A date without a time zone is in the time zone of the DAG.
        attempt: Ids, dates and conf of the attempt; by default those of the scheduled run of `execution_date`.
        xcoms: Passes values between tasks. Without it, XComs raise an error.
    """

    def __init__(
        self,
        task: BaseOperator,
        execution_date: datetime | str | None = None,
        *,
        attempt: AttemptInfo | None = None,
        xcoms: XComStore | None = None,
    ) -> None:
        self.task = task
        self.attempt = attempt or task.attempt_info(execution_date)
        self._xcoms = xcoms or DetachedXCom()
        #: run time of the attempt, after `set_duration`
        self.duration: timedelta | None = None

    @property
    def dag_id(self) -> str:
        return self.attempt.dag_id

    @property
    def task_id(self) -> str:
        return self.attempt.task_id

    @property
    def run_id(self) -> str:
        return self.attempt.run_id

    @property
    def map_index(self) -> int:
        return self.attempt.map_index

    @property
    def try_number(self) -> int:
        return self.attempt.try_number

    @property
    def attempt_uuid(self) -> str:
        return self.attempt.attempt_uuid

    @property
    def execution_date(self) -> LogicalDate:
        """The logical date, in the time zone of the DAG."""
        return LogicalDate.of(self.attempt.logical_date, self.task.zone)

    logical_date = execution_date

    @property
    def key(self) -> TaskKey:
        """Key of the task instance."""
        return self.attempt.key

    @property
    def log_filepath(self) -> str:
        """Path of the log relative to the log folder: `<dag>/<task>/<iso date>`."""
        return f"{self.dag_id}/{self.task_id}/{self.execution_date.replace(tzinfo=None).isoformat()}"

    def xcom_push(self, key: str, value: Any) -> None:
        """Pass a value to later tasks of the run; a second push with the same key replaces it.

        Raises:
            XComError: The value has no JSON form, or is larger than 48 KiB.
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
        """Return values that other tasks of the run pushed.

        Args:
            task_ids: One id for one value, or a list of ids for a list of values.
            key: The key of the push; by default that of the task's return value.
            map_indexes: Copies of a mapped task. None returns a list of all pushed values in the order of the copies.
            default: The value to return for a missing value.
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
        """Return the shell command that runs this instance."""
        when = self.execution_date.replace(tzinfo=None).isoformat()
        words = ["elastic", "run", self.dag_id, self.task_id, when]
        flags = {"--mark_success": mark_success, "--force": force, "--ignore_dependencies": ignore_dependencies}
        words += [flag for flag, given in flags.items() if given]
        return shlex.join([*words, "--subdir", subdir] if subdir else words)

    def current_state(self) -> TaskState | None:
        """Return the stored state; None if there is none.

        For a mapped task without a map index, return the combined state of its copies.
        """
        found: TaskState | None = backend("current_state()").instance_state(self)
        return found

    @property
    def state(self) -> TaskState | None:
        """The stored state; None if there is none."""
        return self.current_state()

    def refresh_from_db(self) -> Any:
        """Return the stored row; None if there is none."""
        return backend("refresh_from_db()").instance_facts(self)

    def error(self) -> None:
        """Mark the stored instance as failed."""
        backend("error()").mark_instance(self, TaskState.FAILED)

    def are_dependencies_met(self, **options: Any) -> bool:
        """Return whether all conditions of the instance are met."""
        return all(verdict.met for verdict in backend("are_dependencies_met()").instance_verdicts(self, **options))

    def is_runnable(self, **options: Any) -> bool:
        """Return whether the instance could run now: dependencies, state, interval and retry delay."""
        return self.are_dependencies_met(**options)

    def ready_for_retry(self) -> bool:
        """Return whether the instance waits for a retry and its retry delay has passed."""
        state = self.current_state()
        return state is TaskState.UP_FOR_RETRY and self.are_dependencies_met()

    def run(self, **options: Any) -> Any:
        """Run the instance in this process, and store the result."""
        return backend("run()").run_instance(self, **options)

    def set_duration(self, started_at: datetime, ended_at: datetime | None) -> timedelta | None:
        """Set and return the run time of the attempt; None while it is running."""
        self.duration = None if ended_at is None else max(ended_at - started_at, timedelta())
        return self.duration

    def __str__(self) -> str:
        return f"<TaskInstance: {self.dag_id}.{self.task_id} {self.execution_date} [{self.run_id}]>"

    __repr__ = __str__
