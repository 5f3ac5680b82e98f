"""Failures: what user code did instead of returning, as plain data."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from elastic.core.text import one_line


@dataclass(frozen=True, slots=True)
class Failure:
    """An entry, or a whole chunk, that the user's code or the source failed on: plain data, no exception."""

    chunk_id: int
    #: index of the entry in its chunk; None when the whole chunk failed
    index: int | None
    #: where the entry lies in its source
    place: str
    #: the user's function, or the part of the flow, that failed
    function: str
    error_type: str
    message: str
    traceback: str = ""
    node_id: str = ""
    worker_id: str = ""

    def __str__(self) -> str:
        what = f"{self.error_type}: {self.message}" if self.message else self.error_type
        return one_line(f"{self.function} failed on {self.place} (chunk {self.chunk_id}): {what}")


def abandoned_failure(chunk_id: int, losses: int, reason: str) -> Failure:
    """Return the failure of a chunk that is not sent again."""
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
    #: the entry, as `encoding.pack` gives it; of a whole chunk the list of its entries
    entry: bytes
    #: how many entries it stands for: 1, or all those of a chunk that failed as a whole
    entries: int = 1
    #: how often it was tried
    attempts: int = 1
    #: token of the chunk's receipt of stage PROCESSED
    receipt: str = ""
    #: False: `entry` is no more than a text that describes an entry which is not plain data
    exact: bool = True

    def plain(self) -> tuple[Any, ...]:
        """Return this letter as plain data."""
        return astuple(self)

    @classmethod
    def of(cls, plain: Sequence[Any]) -> "DeadLetter":
        """Return the letter that `plain` was made of."""
        failure, *rest = plain
        return cls(Failure(*failure), *rest)
