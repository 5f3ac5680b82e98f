"""Answers: what a run came to, so that two runs of one flow can be compared."""

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from elastic.aggregators.sharded.frame_result import ShardedFrame
from elastic.core.encoding import digest, pack
from elastic.core.errors import EncodingError
from elastic.core.frames import is_frame, pack_frame, sorted_rows
from elastic.engine.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDigest:
    """What a run came to, without what is of that run only."""

    #: digest of the value, in hexadecimal letters
    value: str
    #: Merkle root over the chunks
    root: str
    entries: int
    #: entries that user code failed on
    errors: int
    chunks: int

    @classmethod
    def of(cls, result: Result) -> "ResultDigest":
        """Return the answer of a step that is complete."""
        return cls(
            value=digest(_canonical(result.value)).hex(),
            root=result.root,
            entries=result.entries,
            errors=result.errors,
            chunks=result.chunks,
        )

    def difference(self, other: "ResultDigest") -> str:
        """Return the names of what is not the same in another answer; an empty text when all is."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(name for name in mine if mine[name] != theirs[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended: its answer, or why there is none."""

    run_id: str
    answer: ResultDigest | None
    counters: dict[str, int]
    error: str = ""

    @classmethod
    def of(cls, result: Result) -> "RunOutcome":
        """Return the outcome of a step, complete or not."""
        if result.error is not None:
            return cls(run_id=result.run_id, answer=None, counters=result.counters, error=str(result.error))
        return cls(run_id=result.run_id, answer=ResultDigest.of(result), counters=result.counters)


def _canonical(value: Any) -> bytes:
    """Return bytes that are equal for equal values, in whatever order their keys came."""
    if isinstance(value, Mapping):
        pairs = sorted((_canonical(key), _canonical(item)) for key, item in value.items())
        return pack(["mapping", pairs])
    if isinstance(value, set | frozenset):
        return pack(["set", sorted(map(_canonical, value))])
    if isinstance(value, list | tuple):
        return pack(["several", [_canonical(item) for item in value]])
    if isinstance(value, ShardedFrame):
        value = value.collect()
    if is_frame(value):
        return pack_frame(sorted_rows(value))
    try:
        return pack(value)
    except EncodingError:
        # What is no plain data is told apart by its fields; nobody reads these bytes back.
        return pickle.dumps(value)
