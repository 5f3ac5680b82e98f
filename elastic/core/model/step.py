"""How a step is going."""

from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    """The states of a step."""

    QUEUED = "queued"  #: waits for the steps before it
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"  #: every entry is aggregated, and nothing had to be sent twice
    COMPLETE_WITH_RETRIES = "complete_with_retries"  #: every entry is aggregated
    ERROR = "error"  #: it ended before every entry was aggregated
    INTERRUPTED = "interrupted"  #: somebody stopped it
    SUSPENDED = "suspended"  #: its disk or its cluster failed it; it can be resumed

    @property
    def is_complete(self) -> bool:
        return self in (StepState.COMPLETE, StepState.COMPLETE_WITH_RETRIES)

    @property
    def is_final(self) -> bool:
        return self not in (StepState.QUEUED, StepState.IN_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a step has come."""

    run_id: str
    step: int
    name: str
    state: StepState
    #: chunks that there will be; None when only the end of the source will tell
    expected_chunks: int | None
    cut_chunks: int
    distributed_chunks: int
    aggregated_chunks: int
    #: entries in the result so far
    entries: int
    #: chunks that were sent again
    retries: int
    #: what else happened that should not, by name
    counters: dict[str, int]
    #: worker ids by node id
    nodes: dict[str, tuple[str, ...]]
    #: since the step began
    seconds: float
