"""Verdicts: whether one condition lets a task instance start, and why."""

from dataclasses import dataclass
from enum import StrEnum

from elastic.dag.states.state import TaskState


class Decision(StrEnum):
    """Next step for a task instance."""

    RUN = "run"
    WAIT = "wait"
    SKIP = "skip"
    #: an upstream task failed, so the instance never runs
    FAIL = "fail"

    @property
    def state(self) -> TaskState | None:
        """The state that the instance takes without running; None if it runs or waits."""
        return {Decision.SKIP: TaskState.SKIPPED, Decision.FAIL: TaskState.UPSTREAM_FAILED}.get(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of checking one condition of a task instance."""

    #: name of the condition
    condition: str
    #: RUN if the condition is met
    decision: Decision
    #: one sentence, in either case
    reason: str
    #: True if the condition stays unmet until a user changes a setting
    is_lasting: bool = False

    @property
    def met(self) -> bool:
        """Whether the condition lets the instance run."""
        return self.decision is Decision.RUN

    def __str__(self) -> str:
        return f"{self.condition}: {self.reason}"
