"""Start: where a ledger begins."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from elastic.core.model.chunk_id_set import ChunkIdSet


@dataclass(frozen=True, slots=True)
class Start:
    """Where a step goes on that an earlier master has begun."""

    #: chunks that are in the result
    folded: ChunkIdSet = field(default_factory=ChunkIdSet)
    #: the id of the next chunk that the source yields; smaller ids are folded, larger ones may be
    next_id: int = 0
    #: as they stood at the last commit
    counters: Mapping[str, int] = field(default_factory=dict)
