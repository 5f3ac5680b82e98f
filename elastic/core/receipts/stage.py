"""Stages of a chunk, each of which adds a receipt."""

from enum import StrEnum


class Stage(StrEnum):
    """Stage of a chunk. The members are in the order in which a chunk passes them."""

    DISTRIBUTED = "distributed"  #: the master cut the chunk from the source and assigned it to a node
    SENT = "sent"  #: the master's sender sent the chunk
    RECEIVED = "received"  #: the node's receiver accepted the chunk
    PROCESSED = "processed"  #: the user's functions ran over every entry
    RETURNED = "returned"  #: the node's sender returned a partial result with the chunk
    AGGREGATED = "aggregated"  #: the master folded the chunk into the result, once

    @property
    def ordinal(self) -> int:
        return _ORDINALS[self]


_ORDINALS = {stage: ordinal for ordinal, stage in enumerate(Stage)}
STAGES = tuple(Stage)
