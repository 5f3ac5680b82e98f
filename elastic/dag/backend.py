"""Late-bound access from definitions to the scheduler.

Definitions do not depend on the database. A method that needs it imports `elastic.scheduler.api` when it is called.
"""

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol, cast

from elastic.dag.errors import SchedulerNotInstalledError
from elastic.dag.protocols import DagLike, InstanceLike, OperatorLike

_BACKEND_MODULE = "elastic.scheduler.api"


class SchedulerBackend(Protocol):
    """Module-level functions of `elastic.scheduler.api`. All ranges of logical dates include both ends."""

    def run_dag(self, dag: DagLike, start_date: datetime | None, end_date: datetime | None, **options: Any) -> Any:
        """Backfill a range of logical dates."""

    def test_dag(self, dag: DagLike, logical_date: datetime | None, **options: Any) -> Any:
        """Run all tasks once in this process, without storing anything."""

    def clear_dag(self, dag: DagLike, start_date: datetime | None, end_date: datetime | None, **options: Any) -> int:
        """Clear the task instances of a DAG in a range, and return their number."""

    def run_task(
        self, task: OperatorLike, start_date: datetime | None, end_date: datetime | None, **options: Any
    ) -> Any:
        """Run one task for a range of logical dates; options are ignore_dependencies, force and mark_success."""

    def task_instances(
        self, dag: DagLike, start_date: datetime | None, end_date: datetime | None, state: str | None = None
    ) -> Sequence[Any]:
        """Return the stored task instances of a DAG in a range."""

    def latest_execution_date(self, dag: DagLike) -> datetime | None:
        """Return the logical date of the latest run."""

    def merge_dag(self, dag: DagLike) -> None:
        """Store the current definition of a DAG."""

    def instance_facts(self, instance: InstanceLike) -> Any:
        """Return the row of an instance, with `state`, `try_number`, `next_retry_at`, ...; None if there is none."""

    def instance_state(self, instance: InstanceLike) -> Any:
        """Return the state of an instance, or the combined state of all copies of a mapped task; None if unknown."""

    def instance_verdicts(self, instance: InstanceLike, **options: Any) -> Sequence[Any]:
        """Return a `Verdict` for each condition of an instance."""

    def run_instance(self, instance: InstanceLike, **options: Any) -> Any:
        """Run one instance in this process."""

    def mark_instance(self, instance: InstanceLike, state: str) -> bool:
        """Set the state of an instance by hand."""


def backend(for_what: str) -> SchedulerBackend:
    """Return the scheduler's functions.

    Args:
        for_what: The calling method, for the error message.

    Raises:
        SchedulerNotInstalledError: `elastic.scheduler` is missing.
    """
    try:
        return cast("SchedulerBackend", import_module(_BACKEND_MODULE))
    except ModuleNotFoundError as error:
        if error.name is not None and _BACKEND_MODULE.startswith(error.name):
            raise SchedulerNotInstalledError(for_what) from None
        raise
