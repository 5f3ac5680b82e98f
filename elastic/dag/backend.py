"""The way from a definition to the part of Elastic that runs it.

Definitions know no database. A method that needs one looks up `elastic.scheduler.api` when it is called.
"""

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from elastic.dag.errors import PortError

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.execution.task_instance import TaskInstance
    from elastic.dag.operator import BaseOperator

_HOME = "elastic.scheduler.api"


class SchedulerBackend(Protocol):
    """What `elastic.scheduler.api` offers: module-level functions of these names."""

    def run_dag(self, dag: "DAG", start_date: datetime | None, end_date: datetime | None, **options: Any) -> Any:
        """Backfill a range of logical dates, both ends included."""

    def test_dag(self, dag: "DAG", logical_date: datetime | None, **options: Any) -> Any:
        """Run all tasks once in this process, without keeping anything."""

    def clear_dag(self, dag: "DAG", start_date: datetime | None, end_date: datetime | None, **options: Any) -> int:
        """Clear the instances of the tasks of `dag` in a range and return how many there were."""

    def run_task(
        self, task: "BaseOperator", start_date: datetime | None, end_date: datetime | None, **options: Any
    ) -> Any:
        """Run one task for a range of logical dates; options are ignore_dependencies, force and mark_success."""

    def task_instances(
        self, dag: "DAG", start_date: datetime | None, end_date: datetime | None, state: str | None = None
    ) -> "Sequence[TaskInstance]":
        """Return what is known of the instances in a range."""

    def latest_execution_date(self, dag: "DAG") -> datetime | None:
        """Return the logical date of the latest run."""

    def merge_dag(self, dag: "DAG") -> None:
        """Store what the DAG looks like now."""

    def instance_facts(self, instance: "TaskInstance") -> Any:
        """Return the row of an instance, or None: a value with `state`, `try_number`, `next_retry_at`, ..."""

    def instance_state(self, instance: "TaskInstance") -> Any:
        """Return the state of an instance, or of all copies of a mapped task taken together; None if there is none."""

    def instance_verdicts(self, instance: "TaskInstance", **options: Any) -> Sequence[Any]:
        """Return the reasons for and against running an instance now, each with `condition`, `met` and `reason`."""

    def run_instance(self, instance: "TaskInstance", **options: Any) -> Any:
        """Run one instance in this process."""

    def mark_instance(self, instance: "TaskInstance", state: str) -> bool:
        """Set the state of an instance by hand."""


def backend(what: str) -> SchedulerBackend:
    """Return what runs definitions.

    Args:
        what: What it is wanted for, for the text of the error.

    Raises:
        PortError: It is not installed.
    """
    try:
        return cast("SchedulerBackend", import_module(_HOME))
    except ModuleNotFoundError as error:
        if error.name is not None and _HOME.startswith(error.name):
            raise PortError(what) from None
        raise
