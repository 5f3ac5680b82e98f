"""Store contracts: durable data of a run, so that no result is lost when a process dies."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from elastic.core.model.chunk import Chunk, Position
from elastic.core.model.chunk_location import InFlightNote
from elastic.core.model.failure import DeadLetter
from elastic.core.model.live_view import LiveView
from elastic.core.model.receipt_row import ReceiptRow


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Stored chunk with its payload, and the token of its first receipt, which identifies it on disk."""

    chunk: Chunk
    token: str


class ChunkStore(ABC):
    """Store of the payloads of one-shot chunks until they are aggregated.

    One store serves one step of one run and one thread. `put` and `delete` of the same chunk may be repeated.

    Users pass their own class as `chunk_store=`. Elastic calls `Class(folder, run_id, step, read_only=...)`: `folder`
    is the existing folder of the run. With `read_only` the store must not change anything, and another process may be
    writing. Every process that works on the run creates its own object when it first needs the step's chunks, so all
    state must be stored with the chunks. No other data of a run passes through it.
    """

    @abstractmethod
    def put(self, kept: Sequence[StoredChunk]) -> None:
        """Store chunks until `delete` is called for them.

        Called by the sender before the chunks leave the master, so that a crash at any later moment finds them
        here. Putting a chunk twice is the same as once. When this returns all of them have reached the disk.

        Raises:
            StoreFullError: None of the chunks may be sent; `put` may be tried again when there is room.
        """

    @abstractmethod
    def get(self, chunk_id: int) -> Chunk:
        """Return a stored chunk with its payload.

        Raises:
            LookupError: The chunk is not stored.
            CorruptStoreError: The stored chunk is damaged; names chunk and file.
        """

    @abstractmethod
    def delete(self, chunk_ids: Iterable[int]) -> None:
        """Delete chunks; called only after the commit that covers them. Unknown ids are ignored."""

    @abstractmethod
    def unfinished(self) -> Iterator[int]:
        """Yield the ids of all stored chunks in ascending order, including those of earlier processes."""

    def clean(self) -> None:
        """Delete all chunks of this step."""
        self.delete(list(self.unfinished()))

    def close(self) -> None:
        """Release files; the store is not used afterwards."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Content of one transaction: all of it becomes durable, or nothing."""

    #: chunks with ids below `low` are all folded; `bitmap` has a bit for `low`, `low + 1`, ... (bit 0 of byte 0 first)
    low: int
    bitmap: bytes
    #: `(chunk id, source position)`: from that position on the source yields that chunk and those after it;
    #: None before anything was cut
    position: Position | None
    #: True if all chunks of the source are cut.
    exhausted: bool
    #: Encoded partials folded since the last commit, in folding order.
    partials: tuple[bytes, ...] = ()
    receipts: tuple[ReceiptRow, ...] = ()
    #: Dead letters of the folded chunks, stored until they are redriven.
    dead_letters: tuple[DeadLetter, ...] = ()
    #: Keys `(chunk id, index)` of dead letters that this commit's partials contain.
    redriven: tuple[tuple[int, int | None], ...] = ()
    #: Counters of the step since it began, by name.
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Stored record of a step: its manifest, state and progress."""

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
    #: Manifests of the masters that resumed the step, in order.
    resumed: tuple[dict[str, Any], ...] = ()

    @property
    def seconds(self) -> float | None:
        """From the first start of the step to its end: None before that, 0 if the clock was set back between."""
        return None if self.ended_at is None else max(0.0, self.ended_at - self.started_at)


class RunStore(ABC):
    """Store of the progress of one run; one master at a time opens it, and every write checks its epoch."""

    run_id: str
    #: Key of this run's receipts, 32 random bytes.
    key: bytes
    #: Fencing epoch: incremented each time a master opens the run.
    epoch: int
    #: True if the data outlives this process.
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
            StoreError: The transaction failed; this process must not retry it.
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

    def receipt_row_of(self, step: int, chunk_id: int) -> ReceiptRow | None:
        """Return the committed receipt row that contains a chunk, or None."""
        return next((row for row in self.receipts(step) if row.first <= chunk_id < row.stop), None)

    def note(self, step: int, note: InFlightNote | None) -> None:
        """Replace the note on the chunks in flight; None deletes it.

        Notes serve reports only, not resuming, so they need not reach the disk. This method never raises.
        """

    def noted(self, step: int) -> InFlightNote | None:
        """Return the last note of a step; None if no readable note exists."""
        return None

    def is_watched(self, now: float) -> bool:
        """Return whether a reader asked for live views during the minute before `now` (seconds since 1970)."""
        return False

    def publish(self, step: int, view: LiveView | None) -> None:
        """Replace the live view of a step; None deletes it. Views serve pages only. This method never raises."""

    def dead_letters(self, step: int) -> Iterator[DeadLetter]:
        """Yield the dead letters of a step that are not redriven, by ascending chunk id and index."""
        return iter(())

    @abstractmethod
    def chunks(self, step: int) -> ChunkStore:
        """Return the store of a step's one-shot payloads."""

    def close(self) -> None:
        """Release files and the run's lock."""
