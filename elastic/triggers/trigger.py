"""Contract of all triggers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar

from elastic.dag.errors import SensorError
from elastic.dag.execution.wait import Answer
from elastic.hooks.connection import Connection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoundRun:
    """Stored run of a DAG."""

    run_id: str
    logical_date: datetime
    state: str


class RunLookup(Protocol):
    """Access to the stored runs of DAGs."""

    def problem_of(self, dag_id: str, task_ids: Sequence[str]) -> str:
        """Return why no run of a DAG can have some tasks, in one sentence; empty if one can, or if that is unknown."""

    def run_at(self, dag_id: str, logical_date: datetime) -> FoundRun | None:
        """Return the run of a DAG for a logical date, or None."""

    def run_of_id(self, dag_id: str, run_id: str) -> FoundRun | None:
        """Return a run by its id, or None."""

    def start(self, dag_id: str, run_id: str, logical_date: datetime | None, conf: Mapping[str, Any]) -> FoundRun:
        """Queue a run of a stored DAG; None is the present time."""

    def nearest_runs(self, dag_id: str, logical_date: datetime) -> list[FoundRun]:
        """Return the run before a date and the run after it, as far as there are such runs."""

    def task_states(self, dag_id: str, run_id: str, task_id: str) -> list[str | None]:
        """Return the states of the instances of a task in a run."""


class TriggerTools(Protocol):
    """Access of triggers to other systems. A trigger uses nothing else from the process that checks it."""

    @property
    def runs(self) -> RunLookup:
        """The stored runs of DAGs."""

    def now(self) -> datetime:
        """Return the time, in UTC."""

    def connection(self, conn_id: str) -> Connection:
        """Return a connection by its id."""

    def client(self, conn_id: str, make: Callable[[Connection], T]) -> T:
        """Return a client of a connection that is safe in several threads, and is kept for later checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger(ABC):
    """Condition that a sensor waits for: plain arguments, and a check.

    A triggerer makes it from its kind and arguments, which are stored as JSON; equal triggers are checked once for all
    sensors that wait for them. A subclass is a frozen dataclass whose fields are JSON values. The entry-point group
    `elastic.triggers` names it: the name of the entry point is its `kind`.
    """

    #: name under which the trigger is stored, at most 64 ASCII characters
    kind: ClassVar[str]
    #: True if `check` neither blocks nor asks another system
    is_instant: ClassVar[bool] = False
    #: id of a connection; triggers with the same one share a limit of concurrent checks
    connection: str | None = None

    @abstractmethod
    def check(self, tools: TriggerTools) -> Answer:
        """Return whether the condition holds now.

        Called in a thread of the triggerer or in a process of the attempt, again and again until it holds. It must
        change nothing and keep nothing. It may block for up to 30 s, or for the `execution_timeout` of the task. An
        error means that there is no answer; it is not "not yet".
        """

    def answer(self, tools: TriggerTools) -> Answer:
        """Check the condition, and return the answer if it is one.

        Raises:
            SensorError: `check` returned something else.
        """
        found: Any = self.check(tools)
        if not isinstance(found, Answer):
            raise SensorError(f"the trigger {self.kind!r} must return an Answer, got {type(found).__name__}.")
        delay = found.check_in
        is_delay = delay is None or (isinstance(delay, int | float) and 0 <= delay < math.inf)
        if not isinstance(found.done, bool) or not isinstance(found.reason, str) or not is_delay:
            raise SensorError(
                f"the answer of the trigger {self.kind!r} is invalid: done must be True or False, reason a string, and "
                "check_in a number of seconds."
            )
        return found

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The fields by name, as JSON values."""
        return asdict(self)
