"""State and progress of a step."""

from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    """State of a step."""

    QUEUED = "queued"  #: Waits for the steps before it.
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"  #: Every entry is aggregated, and no chunk was resent.
    COMPLETE_WITH_RETRIES = "complete_with_retries"  #: Every entry is aggregated.
    ERROR = "error"  #: Ended before every entry was aggregated.
    INTERRUPTED = "interrupted"  #: Stopped by the user.
    SUSPENDED = "suspended"  #: The disk or the cluster failed; the step can be resumed.

    @property
    def is_complete(self) -> bool:
        return self in (StepState.COMPLETE, StepState.COMPLETE_WITH_RETRIES)

    @property
    def is_final(self) -> bool:
        return self not in (StepState.QUEUED, StepState.IN_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a step."""

    run_id: str
    step: int
    name: str
    state: StepState
    #: Total number of chunks; None if it is not known before the end of the source.
    expected_chunks: int | None
    cut_chunks: int
    distributed_chunks: int
    aggregated_chunks: int
    #: Entries in the result so far.
    entries: int
    #: Number of chunks that were resent.
    retries: int
    #: Counts of other unusual events, by name.
    counters: dict[str, int]
    #: Worker ids by node id.
    nodes: dict[str, tuple[str, ...]]
    #: Seconds since the step began.
    seconds: float
