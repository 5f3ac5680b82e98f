"""Resume point: where a ledger begins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from elastic.core.model.chunk_id_set import ChunkIdSet


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePoint:
    """Committed progress of a step, from which its next master continues; empty for a new step."""

    #: Id of the next chunk that the source yields. All smaller ids are folded; larger ones may be.
    next_id: int = 0
    #: Chunks that the result contains.
    folded: ChunkIdSet = field(default_factory=ChunkIdSet)
    #: Counters of the last commit.
    counters: Mapping[str, int] = field(default_factory=dict)
    #: Encoded aggregator states, in the order in which they were committed.
    states: Iterable[bytes] = ()
