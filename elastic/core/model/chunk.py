"""Chunks and batches: what a source is cut into, and what travels in one call."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

#: Plain data that names a piece of a source, so that a worker can read it by itself: a tuple of strings,
#: integers and None. What its parts mean is between a source and its reader.
Reference = tuple[Any, ...]

#: Plain data from which a source goes on cutting, for example `(file index, byte)`.
Position = tuple[Any, ...]

#: The digest of a chunk whose bytes nobody has read yet.
UNREAD = bytes(16)

#: The number of entries of a chunk whose bytes nobody has read yet.
UNCOUNTED = -1


# A piece and a chunk are named tuples because one of each is made for every chunk: a frozen dataclass takes three times
# as long to make.
class SourcePiece(NamedTuple):
    """What a source yields: the next part of it, not yet numbered.

    With neither `entries` nor `block` it travels by reference: the worker reads it itself.
    """

    #: where the source would go on if this piece had to be cut again: the position *before* it
    position: Position
    #: names the piece for its reader, and for messages; always given
    reference: Reference
    #: by value: the entries
    entries: list[Any] | None = None
    #: by value: the bytes that `reference` names, read by the master and not yet parsed
    block: bytes | None = None
    #: the entries come from a chunk that was given back, and have been projected
    is_projected: bool = False


class Chunk(NamedTuple):
    """A numbered piece of a source: the unit that is sent, persisted and replayed.

    The key for dropping duplicates is `(run_id, step, chunk_id)`; ids are dense, from 0, in source order.
    """

    chunk_id: int
    #: the source's position before this chunk
    position: Position
    #: microseconds since 1970, when the chunk was cut
    cut_at: int
    reference: Reference
    #: by value: a zstd frame (`encoding.compress`) of the block that the source's reader parses
    payload: bytes | None = None
    #: number of entries, or UNCOUNTED until a worker has read it
    entries: int = UNCOUNTED
    #: digest of the plain payload, or UNREAD
    content: bytes = UNREAD

    @property
    def weight(self) -> int:
        """Bytes that this chunk takes in memory and on the wire, roughly."""
        return 100 if self.payload is None else 100 + len(self.payload)

    def __str__(self) -> str:
        return f"chunk {self.chunk_id}"


def describe_chunks(first: int, stop: int) -> str:
    """Return how messages name the chunks `[first, stop)`."""
    return f"chunk {first}" if stop - first == 1 else f"chunks {first} to {stop - 1}"


class RetryIsolation(IntEnum):
    """How carefully chunks are sent whose worker was lost: ever fewer in one call, until the entry is found."""

    NONE = 0
    FEW = 1  #: few chunks in a call
    ALONE = 2  #: one chunk in a call
    ISOLATED = 3  #: one chunk, in a process of its own, entry by entry

    @property
    def most_chunks(self) -> int | None:
        """How many chunks one call may carry; None for any number."""
        return (None, _FEW, 1, 1)[self]

    def next(self, chunks: int) -> "RetryIsolation":
        """Return the care to take after a call of so many chunks was lost."""
        if chunks == 1 and self >= RetryIsolation.ALONE:
            return RetryIsolation.ISOLATED
        return RetryIsolation.ALONE if chunks <= _FEW else RetryIsolation.FEW


_FEW = 16


@dataclass(frozen=True, slots=True)
class DeliveryHistory:
    """What happened to a chunk when it was sent before."""

    #: how often it was sent
    attempts: int = 0
    #: how often its worker was lost while it may have been at work on this chunk
    losses: int = 0
    #: how carefully it is sent next
    care: RetryIsolation = RetryIsolation.NONE
    #: how often a second worker got it because the first took too long
    copies: int = 0

    def speculated(self) -> "DeliveryHistory":
        """Return the history of a copy for a second worker."""
        return replace(self, attempts=self.attempts + 1, copies=self.copies + 1)

    def after_loss(self, *, chunks: int, may_be_poison: bool) -> "DeliveryHistory":
        """Return the history after a batch of so many chunks was lost."""
        if not may_be_poison:
            return replace(self, attempts=self.attempts + 1)
        return replace(self, attempts=self.attempts + 1, losses=self.losses + 1, care=self.care.next(chunks))


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks with consecutive ids and one history that travel to a worker in one call."""

    batch_id: int
    history: DeliveryHistory
    chunks: tuple[Chunk, ...]

    @property
    def attempt(self) -> int:
        """1 when it is sent for the first time."""
        return self.history.attempts + 1

    @property
    def isolated(self) -> bool:
        """True: the worker runs it in a process of its own, to find the entry that ends its process."""
        return self.history.care is RetryIsolation.ISOLATED

    @property
    def first(self) -> int:
        return self.chunks[0].chunk_id

    @property
    def stop(self) -> int:
        """One past the last chunk id."""
        return self.chunks[-1].chunk_id + 1

    def __len__(self) -> int:
        return len(self.chunks)
