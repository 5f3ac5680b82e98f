"""Outcomes of runs, in a form that two runs of one flow can be compared by."""

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
    """Digest of a result, without the parts that are unique to its run."""

    #: digest of the value, as hexadecimal digits
    value: str
    #: Merkle root over the chunks
    root: str
    entries: int
    #: number of entries on which user functions failed
    errors: int
    chunks: int

    @classmethod
    def of(cls, result: Result) -> "ResultDigest":
        """Return the digest of a complete step's result."""
        return cls(
            value=digest(_canonical(result.value)).hex(),
            root=result.root,
            entries=result.entries,
            errors=result.errors,
            chunks=result.chunks,
        )

    def difference(self, other: "ResultDigest") -> str:
        """Return the names of the fields that differ from another digest; empty if none does."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(name for name in mine if mine[name] != theirs[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """Outcome of a run: the digest of its result, or the error that prevented one."""

    run_id: str
    answer: ResultDigest | None
    counters: dict[str, int]
    error: str = ""

    @classmethod
    def of(cls, result: Result) -> "RunOutcome":
        """Return the outcome of a step, whether it completed or not."""
        if result.error is not None:
            return cls(run_id=result.run_id, answer=None, counters=result.counters, error=str(result.error))
        return cls(run_id=result.run_id, answer=ResultDigest.of(result), counters=result.counters)


def _canonical(value: Any) -> bytes:
    """Return bytes that are equal for equal values, independent of the order of keys."""
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
        # Pickle distinguishes other objects by their fields; these bytes are never read back.
        return pickle.dumps(value)
