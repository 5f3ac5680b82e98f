"""Failures of user code, as plain data."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from elastic.core.errors import SourceError
from elastic.core.text import one_line

#: Name of the reader of a source as the function that failed.
READER = "the reader"


@dataclass(frozen=True, slots=True)
class Failure:
    """Failure of user code or of the source on an entry or a whole chunk: plain data, no exception."""

    chunk_id: int
    #: Index of the entry in its chunk; None if the whole chunk failed.
    index: int | None
    #: Place of the entry in its source.
    place: str
    #: User function, or part of the flow, that failed.
    function: str
    error_type: str
    message: str
    traceback: str = ""
    node_id: str = ""
    worker_id: str = ""

    def __str__(self) -> str:
        if (self.function, self.error_type) == (READER, SourceError.__name__):
            # The message already names the file and has advice.
            return one_line(f"the source cannot be read (chunk {self.chunk_id}): {self.message}")
        error = f"{self.error_type}: {self.message}" if self.message else self.error_type
        return one_line(f"{self.function} failed on {self.place} (chunk {self.chunk_id}): {error}")


def abandoned_failure(chunk_id: int, losses: int, reason: str) -> Failure:
    """Return the failure of a chunk that the ledger does not resend."""
    return Failure(
        chunk_id=chunk_id,
        index=None,
        place=f"chunk {chunk_id}",
        function="the worker",
        error_type="Lost",
        message=f"lost with its worker {losses} times; the last time because {reason}",
    )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that could not be processed, kept with its reason until it is redriven.

    Its key within a step is `(failure.chunk_id, failure.index)`.
    """

    failure: Failure
    #: The entry, encoded with `encoding.pack`; for a whole chunk, the list of its entries.
    entry: bytes
    #: Number of entries that it represents: 1, or all entries of a chunk that failed as a whole.
    entries: int = 1
    #: Number of attempts.
    attempts: int = 1
    #: Token of the chunk's receipt of stage PROCESSED.
    receipt: str = ""
    #: False if the entry is not plain data, so that `entry` is only a string that describes it.
    exact: bool = True

    def plain(self) -> tuple[Any, ...]:
        """Return this dead letter as plain data."""
        return astuple(self)

    @classmethod
    def of(cls, plain: Sequence[Any]) -> "DeadLetter":
        """Return the dead letter that `plain` describes."""
        failure, *rest = plain
        return cls(Failure(*failure), *rest)
