"""Contracts of sinks: where the records of a flow are written, exactly once.

A sink is written to in two steps, as in a two-phase commit. Workers write *parts* that readers do not see, and return
the names of the parts with the chunks whose records they hold. The master commits these names with the chunks. After
the last chunk it publishes the committed parts, and removes those of attempts that were lost. Publishing again changes
nothing, so that a resumed run can finish a publication that a crash has interrupted.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.core.errors import EncodingError
from elastic.core.model.step import StepState
from elastic.core.model.written import Written, WrittenFile


class RecordBuffer(ABC):
    """Records in the memory of a worker, encoded and not written yet."""

    #: Bytes in memory.
    size: int
    #: Chunks `[first, stop)` whose records are in the buffer.
    chunks: list[tuple[int, int]]

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """True if the buffer holds no records."""

    @abstractmethod
    def add_many(self, records: Sequence[Any]) -> None:
        """Encode records and add them. This does no I/O.

        Raises:
            EncodingError: A record does not fit; the buffer is unchanged then.
        """

    @abstractmethod
    def join(self, other: "RecordBuffer") -> None:
        """Move the records and chunks of `other`, which come after those of this buffer, to this one.

        Raises:
            EncodingError: No part can hold the records of both; both buffers are unchanged then.
        """

    @abstractmethod
    def like(self) -> "RecordBuffer":
        """Return an empty buffer that refuses what this one refuses."""


def columns_error(one: str, two: str) -> EncodingError:
    """Return the error for records whose files would have these different columns, so that no program reads both."""
    return EncodingError(
        f"the files would differ in their columns, which are {one.strip()} and {two.strip()}; name them by columns= of "
        "write_csv, or with their types by schema= of write_parquet."
    )


class RecordOutput(ABC):
    """Parts that a worker is writing."""

    @abstractmethod
    def write(self, buffer: RecordBuffer) -> list[WrittenFile]:
        """Write all records of a buffer and empty it; return the parts that became complete.

        Raises:
            StoreError: The records cannot be written; none of the parts may be used.
        """

    @abstractmethod
    def close(self) -> list[WrittenFile]:
        """Complete all parts, which have then reached the disk, and return those not returned before.

        Raises as `write` does.
        """


class RecordWriter(ABC):
    """Worker's side of a sink; the program carries it to the workers, so it can be pickled and has no state."""

    #: True: the names of the parts sort in the order of the source, so a part holds consecutive chunks only.
    ordered: bool = False

    #: True: all parts must have the same columns.
    uniform: bool = True

    @abstractmethod
    def buffer(self) -> RecordBuffer:
        """Return an empty buffer."""

    @abstractmethod
    def output(self) -> RecordOutput:
        """Return an output for the records of one or more buffers.

        Raises:
            StoreError: This process cannot write to the sink.
        """


@dataclass(frozen=True, slots=True)
class SinkOwner:
    """Step whose master writes to a sink."""

    run_id: str
    step: int
    #: Epoch of the master.
    epoch: int


class Publication(ABC):
    """Master's side of a sink for one step."""

    #: The worker's side.
    writer: RecordWriter

    @abstractmethod
    def check(self) -> None:
        """Check that a new step can write to the sink, without changing anything.

        Raises:
            UsageError: The sink exists, is in use, or cannot be written.
        """

    @abstractmethod
    def prepare(self, parts: Sequence[WrittenFile]) -> None:
        """Check the sink for this step, before workers start; `parts` are those that earlier masters committed.

        Raises:
            UsageError: The sink belongs to another run.
            StoreError: The sink cannot be written, belongs to a later master, or a committed part is missing.
        """

    def begin(self, parts: Sequence[WrittenFile]) -> None:
        """Claim the sink and create what workers need, after `prepare` and once the run records that the step began.

        A crash at any later moment leaves a run that can be resumed, and that removes what this method creates.

        Raises:
            UsageError, StoreError: As `prepare` does.
        """

    @abstractmethod
    def written(self, parts: Sequence[WrittenFile]) -> Written:
        """Return the description of parts."""

    @abstractmethod
    def publish(self, parts: Sequence[WrittenFile]) -> None:
        """Make the committed parts visible, all or none, and remove all others of this step. May be repeated.

        Raises:
            StoreError: The sink failed, or belongs to a later master.
        """

    @abstractmethod
    def release(self, outcome: StepState, parts: Sequence[WrittenFile], *, keep: bool) -> None:
        """Give up the claim of a step that ended without publication, unless the step can be resumed. Never raises.

        Args:
            outcome: State in which the step ended.
            parts: Those that the master has committed, or began to commit.
            keep: True if committed parts exist, with which a resumed run would continue.
        """


@dataclass(frozen=True, slots=True)
class SinkDefect:
    """Difference between a sink and the parts that a run committed."""

    #: Sentence without its full stop.
    what: str
    #: The part; None if it concerns the whole sink.
    part: WrittenFile | None = None


class RecordSink(ABC):
    """Destination of a flow's records, as the user describes it. Creating one does no I/O."""

    #: True: the records keep the order of the source.
    ordered: bool = False

    @property
    def name(self) -> str:
        """Name of the step that writes, where it has no function and no other result."""
        return type(self).__name__

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain data for the run's manifest, without secrets. Equal descriptions mean the same sink."""

    @abstractmethod
    def publication(self, owner: SinkOwner) -> Publication:
        """Return the master's side for a step. This does no I/O."""

    def audit(self, owner: SinkOwner, parts: Sequence[WrittenFile]) -> Iterator[SinkDefect]:
        """Yield the defects of what a complete step has written; `parts` are those that it committed.

        Raises:
            StoreError: The sink cannot be read.
        """
        return iter(())

    def check_source(self, source: dict[str, Any]) -> None:
        """Check that a source, as its `describe` says, reads nothing that the sink writes or removes.

        Raises:
            UsageError: The source overlaps with the sink.
        """

    def check_cluster(self, cluster: str) -> None:
        """Check that the workers of a cluster can reach the sink.

        Raises:
            UsageError: Only this process can reach it.
        """
