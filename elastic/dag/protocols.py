"""Protocols of DAGs, groups, operators and task instances: the parts that modules below them need.

`DAG`, `TaskGroup`, `BaseOperator` and `TaskInstance` refer to each other. Modules that only read ids, dates, schedules
or neighbours depend on these protocols instead, so that imports within the package form no circle.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from elastic.dag.files.helper_modules import HelperModules
from elastic.dag.ids import TaskKey
from elastic.dag.timetable.schedule import Schedule


class OperatorLike(Protocol):
    """Task: its id, dates and schedule, and its place in the graph."""

    task_id: str
    #: direct neighbours by task id
    upstream: dict[str, Any]
    downstream: dict[str, Any]
    #: ids of upstream tasks that follow from a value and not from an arrow
    implied: set[str]
    #: position in the topological order; rises along all dependencies
    rank: int

    @property
    def dag_id(self) -> str: ...

    @property
    def has_dag(self) -> bool: ...

    @property
    def dag(self) -> "DagLike": ...

    @property
    def start_date(self) -> datetime | None: ...

    @property
    def end_date(self) -> datetime | None: ...

    @property
    def schedule(self) -> Schedule: ...


class GroupLike(Protocol):
    """Task group: its id, its DAG, and the ids of new members."""

    group_id: str

    @property
    def dag(self) -> "DagLike": ...

    def child_id(self, own: str) -> str: ...

    def add(self, child: Any) -> None: ...

    def first_tasks(self) -> Sequence[OperatorLike]: ...


class DagLike(Protocol):
    """DAG: its settings, dates and schedule, and its tasks by id. `BaseOperator` as a result is Any here."""

    dag_id: str
    owner: str
    timezone: str
    fileloc: str
    start_date: datetime | None
    end_date: datetime | None
    schedule: Schedule
    schedule_interval: Any
    concurrency: int
    params: Any
    user_defined_macros: dict[str, Any]
    helpers: HelperModules
    template_searchpath: tuple[Path, ...]

    @property
    def default_args(self) -> Mapping[str, Any]: ...

    @property
    def folder(self) -> Path: ...

    @property
    def root(self) -> Path: ...

    @property
    def task_dict(self) -> Mapping[str, OperatorLike]: ...

    @property
    def groups(self) -> Mapping[str, GroupLike]: ...

    @property
    def task_ids(self) -> list[str]: ...

    def add_task(self, task: Any) -> None: ...

    def add_group(self, group: Any) -> None: ...

    def get_task(self, task_id: str) -> Any: ...

    def topological(self) -> Iterator[Any]: ...

    def __contains__(self, task_id: object) -> bool: ...


class InstanceLike(Protocol):
    """Task instance: its task and its key."""

    @property
    def task(self) -> OperatorLike: ...

    @property
    def key(self) -> TaskKey: ...
