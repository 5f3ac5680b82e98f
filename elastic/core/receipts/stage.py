"""The stations at which a chunk leaves a receipt."""

from enum import StrEnum


class Stage(StrEnum):
    """A station of a chunk's journey, in the order in which a chunk passes them."""

    DISTRIBUTED = "distributed"  #: cut from the source and given to a node by the master
    SENT = "sent"  #: left the master's sender
    RECEIVED = "received"  #: taken in by the receiver of the node
    PROCESSED = "processed"  #: the user's functions ran over every entry
    RETURNED = "returned"  #: left the node's sender inside a partial result
    AGGREGATED = "aggregated"  #: folded into the result, once

    @property
    def ordinal(self) -> int:
        return _ORDINALS[self]


_ORDINALS = {stage: ordinal for ordinal, stage in enumerate(Stage)}
STAGES = tuple(Stage)
