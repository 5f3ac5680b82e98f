"""Chunks and batches: the pieces of a source, and the content of one call."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

#: Plain data that identifies a piece of a source, so that a worker can read it: a tuple of strings, integers and None.
#: Only the source and its reader interpret it.
Reference = tuple[Any, ...]

#: Plain data at which a source continues cutting, for example `(file index, byte)`.
Position = tuple[Any, ...]

#: Digest of a chunk that has not been read yet.
UNREAD = bytes(16)

#: Number of entries of a chunk that has not been read yet.
UNCOUNTED = -1


# A piece and a chunk are named tuples because one of each is made for every chunk: a frozen dataclass takes three times
# as long to make.
class SourcePiece(NamedTuple):
    """Next part of a source, without a number yet.

    Without `entries` and `block` it travels by reference: the worker reads it.
    """

    #: Position *before* this piece, where the source continues if it must cut the piece again.
    position: Position
    #: Identifies the piece for its reader and in messages; always given.
    reference: Reference
    #: By value: the entries.
    entries: list[Any] | None = None
    #: By value: the bytes of `reference`, read by the master and not parsed.
    block: bytes | None = None
    #: True if the entries come from a chunk that was taken back, and are projected already.
    is_projected: bool = False


class Chunk(NamedTuple):
    """Numbered piece of a source: the unit of sending, persistence and replay.

    The key for dropping duplicates is `(run_id, step, chunk_id)`; ids are dense, from 0, in source order.
    """

    chunk_id: int
    #: Position of the source before this chunk.
    position: Position
    #: Microseconds since 1970 when the chunk was cut.
    cut_at: int
    reference: Reference
    #: By value: a zstd frame (`encoding.compress`) of the block that the reader parses.
    payload: bytes | None = None
    #: Number of entries; UNCOUNTED until the chunk is read.
    entries: int = UNCOUNTED
    #: Digest of the uncompressed payload, or UNREAD.
    content: bytes = UNREAD

    @property
    def weight(self) -> int:
        """Approximate bytes of this chunk in memory and on the wire."""
        return 100 if self.payload is None else 100 + len(self.payload)

    def __str__(self) -> str:
        return f"chunk {self.chunk_id}"


def describe_chunks(first: int, stop: int) -> str:
    """Return the name of chunks `[first, stop)` for messages."""
    return f"chunk {first}" if stop - first == 1 else f"chunks {first} to {stop - 1}"


class _Isolation(IntEnum):
    """Isolation level of a chunk after its worker died: smaller batches, then alone, then in a child process."""

    NONE = 0
    FEW = 1  #: At most 16 chunks per call.
    ALONE = 2  #: One chunk per call.
    ISOLATED = 3  #: One chunk, in a child process, entry by entry.

    @property
    def max_chunks(self) -> int | None:
        """Maximum number of chunks per call; None for no limit."""
        return (None, _FEW, 1, 1)[self]

    def next(self, chunks: int) -> "_Isolation":
        """Return the level after a call of `chunks` chunks was lost."""
        if chunks == 1 and self >= _Isolation.ALONE:
            return _Isolation.ISOLATED
        return _Isolation.ALONE if chunks <= _FEW else _Isolation.FEW


_FEW = 16


@dataclass(frozen=True, slots=True)
class DeliveryHistory:
    """Delivery history of a chunk."""

    #: Number of times it was sent.
    attempts: int = 0
    #: Number of times its worker died while it may have been processing this chunk.
    losses: int = 0
    #: Isolation level of the next attempt.
    isolation: _Isolation = _Isolation.NONE
    #: Number of speculative copies.
    copies: int = 0

    @property
    def max_chunks(self) -> int | None:
        """Maximum number of chunks in the call of the next attempt; None for no limit."""
        return self.isolation.max_chunks

    @property
    def isolated(self) -> bool:
        """True if the next attempt runs in a child process."""
        return self.isolation is _Isolation.ISOLATED

    def speculated(self) -> "DeliveryHistory":
        """Return the history of a speculative copy."""
        return replace(self, attempts=self.attempts + 1, copies=self.copies + 1)

    def after_loss(self, *, chunks: int, may_be_poison: bool) -> "DeliveryHistory":
        """Return the history after a batch of `chunks` chunks was lost."""
        if not may_be_poison:
            return replace(self, attempts=self.attempts + 1)
        return replace(self, attempts=self.attempts + 1, losses=self.losses + 1, isolation=self.isolation.next(chunks))


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks with consecutive ids and equal history, sent to a worker in one call."""

    batch_id: int
    history: DeliveryHistory
    chunks: tuple[Chunk, ...]

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self.history.attempts + 1

    @property
    def isolated(self) -> bool:
        """True if the worker must run it in a child process, to find the entry that kills the process."""
        return self.history.isolated

    @property
    def first(self) -> int:
        return self.chunks[0].chunk_id

    @property
    def stop(self) -> int:
        """One past the last chunk id."""
        return self.chunks[-1].chunk_id + 1

    def __len__(self) -> int:
        return len(self.chunks)
