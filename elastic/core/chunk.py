"""Chunks and batches: what a source is cut into, and what travels in one call."""

from dataclasses import dataclass
from typing import Any

#: Plain data that names a piece of a source, so that a worker can read it by itself: a tuple of strings,
#: integers and None. What its parts mean is between a source and its reader.
Reference = tuple[Any, ...]

#: Plain data from which a source goes on cutting, for example `(file index, byte)`.
Position = tuple[Any, ...]

#: The digest of a chunk whose bytes nobody has read yet.
UNREAD = bytes(16)

#: The number of entries of a chunk whose bytes nobody has read yet.
UNCOUNTED = -1


@dataclass(frozen=True, slots=True)
class Piece:
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


@dataclass(frozen=True, slots=True)
class Chunk:
    """A numbered piece of a source: the unit that is sent, persisted and replayed.

    The key for dropping duplicates is `(run_id, step, chunk_id)`; ids are dense, from 0, in source order.
    """

    chunk_id: int
    #: the source's position before this chunk
    position: Position
    #: microseconds since 1970, when the chunk was cut
    conceived_at: int
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
        return 100 + (len(self.payload) if self.payload is not None else 0)

    def __str__(self) -> str:
        return f"chunk {self.chunk_id}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks with consecutive ids that travel to a worker in one call."""

    batch_id: int
    attempt: int
    chunks: tuple[Chunk, ...]

    @property
    def first(self) -> int:
        return self.chunks[0].chunk_id

    @property
    def stop(self) -> int:
        """One past the last chunk id."""
        return self.chunks[-1].chunk_id + 1

    def __len__(self) -> int:
        return len(self.chunks)
