"""The row with the progress of a step, and the MAC of every stored row."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any

from elastic.core.contracts.store import Commit, StepRecord
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError
from elastic.persistence.run_store.json_text import read_json, write_json


def row_mac(kind: str, key: bytes, run_id: str, place: tuple[int, int], data: bytes) -> bytes:
    """Return the MAC of a row: BLAKE2b-128 over its data and its place, with the key of the run.

    The MAC detects damage and a row in the wrong place, and only the owner of the key can write a valid row.

    Args:
        kind: Table of the row, at most 16 bytes.
        key: Key of the run.
        run_id: Id of the run.
        place: Number of the step, and a number within it.
        data: Content of the row.
    """
    hasher = blake2b(digest_size=16, key=key, person=kind.encode())
    hasher.update(pack([run_id, *place]))
    hasher.update(data)
    return hasher.digest()


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """Row of the table `progress`: its columns in their order, with the types of the database."""

    step: int
    state: str
    low: int = 0
    bitmap: bytes = b""
    position: bytes | None = None  #: in msgpack
    exhausted: int = 0
    counters: str = "{}"  #: in JSON
    ended_at: float | None = None
    error: str | None = None
    partials: int = 0  #: number of partials of the step
    receipts: int = 0  #: number of rows of receipts
    letters: int = 0  #: number of dead letters, including redriven ones
    redriven: int = 0  #: number of redriven dead letters
    begins: int = 1  #: number of masters that began or resumed the step

    def mac(self, key: bytes, run_id: str) -> bytes:
        return row_mac("progress", key, run_id, (self.step, 0), pack(list(astuple(self))))

    def columns_of(self, commit: Commit) -> dict[str, Any]:
        """Return the columns that a commit changes.

        Raises:
            EncodingError: A value of the commit cannot be stored.
        """
        if type(commit.low) is not int or not 0 <= commit.low < 1 << 63:
            raise EncodingError(f"invalid chunk id {commit.low!r}; it must be an int from 0 to 2**63 - 1.")
        return {
            "low": commit.low,
            "bitmap": bytes(commit.bitmap),
            "position": None if commit.position is None else pack(tuple(commit.position)),
            "exhausted": int(commit.exhausted),
            "counters": write_json(commit.counters, f"the counters of step {self.step}"),
            "partials": self.partials + len(commit.partials),
            "receipts": self.receipts + len(commit.receipts),
            "letters": self.letters + len(commit.dead_letters),
            "redriven": self.redriven + len(commit.redriven),
        }

    def record(self, name: str, manifests: Sequence[str], started_at: float) -> StepRecord:
        """Return the record of the step; `manifests` are those of all its masters, in order.

        Raises:
            EncodingError: A column has an invalid value.
        """
        position = None if self.position is None else unpack(self.position)
        if not isinstance(position, tuple | None):
            raise EncodingError(f"the position of step {self.step} must be a tuple, got {type(position).__name__}")
        return StepRecord(
            step=self.step,
            name=name,
            state=self.state,
            manifest=read_json(manifests[0]),
            resumed=tuple(map(read_json, manifests[1:])),
            low=self.low,
            bitmap=self.bitmap,
            position=position,
            exhausted=bool(self.exhausted),
            counters=read_json(self.counters),
            started_at=started_at,
            ended_at=self.ended_at,
            error=self.error,
        )
