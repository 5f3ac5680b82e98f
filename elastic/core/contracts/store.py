"""The store contracts: what a run keeps, so that nothing is lost when a process ends."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from elastic.core.ledger.chunk_locations import InFlightNote
from elastic.core.model.chunk import Chunk, Position
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk by value as it is kept: the chunk and the token of its first receipt, which names it on disk."""

    chunk: Chunk
    token: str


class ChunkStore(ABC):
    """Keeps the payloads of one-shot chunks until they are aggregated.

    One store serves one step of one run and one thread. `put` and `delete` of the same chunk may be repeated.

    A class of the user's own is given as `chunk_store=`. It is made as `Class(folder, run_id, step, read_only=...)`:
    `folder` is that of the run, which exists; with `read_only` nothing may be changed, and another process may be at
    work. It is made when the step's chunks are first asked for, by each process that works on the run, so all that it
    knows must be where it keeps the chunks. Nothing else of a run goes through it.
    """

    @abstractmethod
    def put(self, kept: Sequence[StoredChunk]) -> None:
        """Keep chunks until `delete` is called for them.

        Called by the sender before the chunks leave the master, so that a crash at any later moment finds them
        here. Putting a chunk twice is the same as once. When this returns all of them have reached the disk.

        Raises:
            StoreFullError: None of the chunks may be sent; `put` may be tried again when there is room.
        """

    @abstractmethod
    def get(self, chunk_id: int) -> Chunk:
        """Return a kept chunk with its payload.

        Raises:
            LookupError: No such chunk is kept.
            CorruptStoreError: It is kept, but not as it was put; names chunk and file.
        """

    @abstractmethod
    def delete(self, chunk_ids: Iterable[int]) -> None:
        """Forget chunks; called only after the commit that covers them. Unknown ids are passed over."""

    @abstractmethod
    def unfinished(self) -> Iterator[int]:
        """Yield the ids of all kept chunks in ascending order, also those kept by an earlier process."""

    def clean(self) -> None:
        """Forget everything of this step."""
        self.delete(list(self.unfinished()))

    def close(self) -> None:
        """Release files; the store is not used afterwards."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one transaction makes durable: all of it or nothing."""

    #: chunks with ids below `low` are all folded; `bitmap` has a bit for `low`, `low + 1`, ... (bit 0 of byte 0 first)
    low: int
    bitmap: bytes
    #: `(chunk id, source position)`: from that position on the source yields that chunk and those after it;
    #: None before anything was cut
    position: Position | None
    #: true when the source has no more chunks than have been cut
    exhausted: bool
    #: encoded partials that were folded since the last commit, in the order in which they were folded
    partials: tuple[bytes, ...] = ()
    receipts: tuple[ReceiptRow, ...] = ()
    #: entries of the folded chunks that user code failed on, to be kept until they are redriven
    letters: tuple[DeadLetter, ...] = ()
    #: keys `(chunk id, index)` of letters that are in the result now, because this commit's partials hold them
    redriven: tuple[tuple[int, int | None], ...] = ()
    #: counters of the step since it began, by name
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What is kept about a step: its manifest, its state, and how far it came."""

    step: int
    name: str
    state: str  #: a StepState value
    manifest: dict[str, Any]  #: plain data: source, transforms, aggregator, settings
    low: int = 0
    bitmap: bytes = b""
    position: Position | None = None
    exhausted: bool = False
    counters: dict[str, int] = field(default_factory=dict)
    started_at: float = 0.0  #: seconds since 1970
    ended_at: float | None = None
    error: str | None = None  #: one sentence
    #: the manifests of the masters that went on with the step, in order
    resumed: tuple[dict[str, Any], ...] = ()

    @property
    def seconds(self) -> float | None:
        """From the first start of the step to its end: None before that, 0 if the clock was set back between."""
        return None if self.ended_at is None else max(0.0, self.ended_at - self.started_at)


class RunStore(ABC):
    """Keeps the progress of one run. Opened by one master at a time, whose epoch is checked in every write."""

    run_id: str
    #: 32 random bytes: the key of this run's receipts
    key: bytes
    #: +1 each time a master opens the run
    epoch: int
    #: whether what is kept is there after this process
    is_durable: bool = True

    @abstractmethod
    def begin(self, step: int, name: str, manifest: dict[str, Any], started_at: float) -> None:
        """Record that a step begins, in state `in_progress`.

        A step that is known already keeps its progress and its first manifest; this one is added to its `resumed`.
        """

    @abstractmethod
    def commit(self, step: int, commit: Commit) -> None:
        """Make progress durable in one transaction. When this returns it has reached the disk.

        Raises:
            FencedError: A newer master has opened the run; nothing was written.
            StoreError: The transaction failed; it must not be tried again by this process.
        """

    @abstractmethod
    def end(self, step: int, state: str, ended_at: float, error: str | None = None) -> None:
        """Record how a step ended. Raises as `commit` does."""

    @abstractmethod
    def steps(self) -> list[StepRecord]:
        """Return all steps in order."""

    @abstractmethod
    def partials(self, step: int) -> Iterator[bytes]:
        """Yield the committed partials of a step in the order in which they were folded."""

    @abstractmethod
    def receipts(self, step: int) -> Iterator[ReceiptRow]:
        """Yield the committed receipt rows of a step by ascending first chunk id."""

    def note(self, step: int, note: InFlightNote | None) -> None:
        """Keep what the master knows of chunks in flight, in place of the last note; None forgets it.

        It is for reports only: nothing is resumed from it, so it need not reach the disk, and never fails.
        """

    def noted(self, step: int) -> InFlightNote | None:
        """Return the last note of a step; None where there is none that can be read."""
        return None

    def letters(self, step: int) -> Iterator[DeadLetter]:
        """Yield the dead letters of a step that are not redriven, by ascending chunk id and index."""
        return iter(())

    @abstractmethod
    def chunks(self, step: int) -> ChunkStore:
        """Return the store of a step's one-shot payloads."""

    def close(self) -> None:
        """Release files and the run's lock."""
