"""The row that says how far a step came, and the seal that every kept row carries."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any

from elastic.core.contracts.store import Commit, StepRecord
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError
from elastic.persistence.run_store.json_text import read_json, write_json


def seal(kind: str, key: bytes, run_id: str, place: tuple[int, int], data: bytes) -> bytes:
    """Return BLAKE2b-128, keyed with the run's key, over a row and where it belongs.

    So damage and a row out of place both show, and who does not have the key cannot make a row.

    `kind` has at most 16 letters; `place` is the step and a number within it.
    """
    summed = blake2b(digest_size=16, key=key, person=kind.encode())
    summed.update(pack([run_id, *place]))
    summed.update(data)
    return summed.digest()


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """One row of the table `progress`: its columns in their order and as they are kept."""

    step: int
    state: str
    low: int = 0
    bitmap: bytes = b""
    position: bytes | None = None  #: packed
    exhausted: int = 0
    counters: str = "{}"  #: JSON
    ended_at: float | None = None
    error: str | None = None
    partials: int = 0  #: how many partials the step has
    receipts: int = 0  #: how many receipt rows
    letters: int = 0  #: how many dead letters, those that are redriven among them
    redriven: int = 0  #: how many of them are redriven
    begins: int = 1  #: how many masters have begun the step or gone on with it

    def seal(self, key: bytes, run_id: str) -> bytes:
        return seal("progress", key, run_id, (self.step, 0), pack(list(astuple(self))))

    def columns_of(self, commit: Commit) -> dict[str, Any]:
        """Return the columns that a commit changes.

        Raises:
            EncodingError: The commit holds something that cannot be kept.
        """
        if type(commit.low) is not int or not 0 <= commit.low < 1 << 63:
            raise EncodingError(f"{commit.low!r} is not the id of a chunk.")
        return {
            "low": commit.low,
            "bitmap": bytes(commit.bitmap),
            "position": None if commit.position is None else pack(tuple(commit.position)),
            "exhausted": int(commit.exhausted),
            "counters": write_json(commit.counters, f"the counters of step {self.step}"),
            "partials": self.partials + len(commit.partials),
            "receipts": self.receipts + len(commit.receipts),
            "letters": self.letters + len(commit.letters),
            "redriven": self.redriven + len(commit.redriven),
        }

    def record(self, name: str, manifests: Sequence[str], started_at: float) -> StepRecord:
        """Return what the contract shows of a step; `manifests` are those of all its masters, in order.

        Raises:
            EncodingError: A column does not hold what it should.
        """
        position = None if self.position is None else unpack(self.position)
        if not isinstance(position, tuple | None):
            raise EncodingError(f"the position of step {self.step} is not a tuple")
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
