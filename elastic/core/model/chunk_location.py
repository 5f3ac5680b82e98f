"""Last known locations of unfinished chunks, and the losses of workers and nodes, as values."""

from dataclasses import astuple, dataclass
from typing import Any

from elastic.core.model.chunk import UNCOUNTED


@dataclass(frozen=True, slots=True)
class ChunkLocation:
    """Last known location of consecutive chunks that are not folded."""

    first: int
    stop: int
    node_id: str
    #: Worker that holds, or held, their result; None if no worker has reported one.
    worker_id: str | None
    #: Last stage known to the master: `sent` or `processed`.
    stage: str
    #: Number of times they were sent.
    attempt: int
    #: Runs of chunks with equal numbers of entries: `(chunks, entries)`; UNCOUNTED until a worker has counted them.
    counts: tuple[tuple[int, int], ...]
    #: Reason for their loss; empty while they are in flight.
    lost: str = ""

    def entries_of(self, first: int, stop: int) -> int | None:
        """Return the entries of chunks `[first, stop)` of these; None until a worker has counted them."""
        total, at = 0, self.first
        for chunks, entries in self.counts:
            inside = min(stop, at + chunks) - max(first, at)
            if inside > 0 and entries == UNCOUNTED:
                return None
            total += max(0, inside) * entries
            at += chunks
        return total


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss of a worker or node, with the amount of work that had to be repeated."""

    node_id: str
    #: None if the whole node was lost.
    worker_id: str | None
    reason: str
    chunks: int = 0
    #: None if a worker had not counted some of the chunks.
    entries: int | None = 0

    def __str__(self) -> str:
        lost = f"node {self.node_id}" if self.worker_id is None else f"worker {self.worker_id} of node {self.node_id}"
        entries = "" if self.entries is None else f", {self.entries:,} entries"
        return f"{lost}: {self.reason}; it had {self.chunks:,} chunks{entries}"


@dataclass(frozen=True, slots=True)
class InFlightNote:
    """Snapshot of the unfinished chunks and losses that a master knew."""

    #: Seconds since 1970.
    noted_at: float
    whereabouts: tuple[ChunkLocation, ...]
    losses: tuple[Loss, ...]

    def plain(self) -> dict[str, Any]:
        """Return this note as plain data."""
        return {
            "noted_at": self.noted_at,
            "whereabouts": list(map(astuple, self.whereabouts)),
            "losses": list(map(astuple, self.losses)),
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "InFlightNote":
        """Return the note that `plain` describes."""
        known: list[ChunkLocation] = []
        for first, stop, node_id, worker_id, stage, attempt, counts, lost in plain["whereabouts"]:
            runs = tuple((chunks, entries) for chunks, entries in counts)
            known.append(ChunkLocation(first, stop, node_id, worker_id, stage, attempt, runs, lost))
        return cls(float(plain["noted_at"]), tuple(known), tuple(Loss(*fields) for fields in plain["losses"]))
