"""Findings of a verification, and its summary of each step."""

from dataclasses import dataclass, replace

from elastic.core.model.chunk import describe_chunks
from elastic.core.receipts.merkle import ROOT_VERSION, SHOWN
from elastic.core.text import number_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Defect that a verification found in the stored data of a run."""

    #: one sentence, without step and chunks
    what: str
    #: number of the step; None for the whole run
    step: int | None = None
    #: chunks `[first, stop)`; None if no chunk in particular is concerned
    first: int | None = None
    stop: int | None = None

    def __str__(self) -> str:
        place = [] if self.step is None else [f"step {self.step}"]
        if self.first is not None and self.stop is not None:
            place.append(describe_chunks(self.first, self.stop))
        return f"{', '.join(place)}: {self.what}" if place else self.what


class Findings:
    """Collector of the findings of one step; it merges equal findings of neighbouring chunks."""

    def __init__(self, step: int | None) -> None:
        self.step = step
        self.list: list[Finding] = []

    def add(self, what: str, first: int | None = None, stop: int | None = None) -> None:
        """Add a finding about chunks `[first, stop)`; without `stop` about one chunk."""
        if first is not None and stop is None:
            stop = first + 1
        last = self.list[-1] if self.list else None
        if last is not None and first is not None and (last.what, last.stop) == (what, first):
            self.list[-1] = replace(last, stop=stop)
        else:
            self.list.append(Finding(what=what, step=self.step, first=first, stop=stop))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStep:
    """Summary of a verified step."""

    step: int
    name: str
    state: str
    #: entries read from the source; all but the failed ones are in the result
    entries: int
    chunks: int
    #: entries on which user functions failed; they are not in the result
    errors: int
    #: Merkle root over chunk ids, entries, failed entries and input digests, as the run printed it; empty if chunks
    #: are missing
    root: str
    #: Merkle root over the same and the receipts: it is unique to the run
    receipts_root: str
    #: version of the definition of the roots, see `elastic.core.receipts.merkle`
    root_version: int = ROOT_VERSION
    #: number of chunks that were read again and compared
    chunks_recomputed: int = 0
    #: number of chunks whose partial results were recomputed and compared
    chunks_rerun: int = 0
    #: checks that were impossible, one sentence each
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        again = f", {self.chunks_recomputed:,} chunks read again" if self.chunks_recomputed else ""
        again += f", {self.chunks_rerun:,} of them run again" if self.chunks_rerun else ""
        errors = f"{self.errors:,} failed and left out" if self.errors else "0 errors"
        entries = number_of(self.entries, "entry", "entries")
        chunks = number_of(self.chunks, "chunk", "chunks")
        return (
            f"verified: {entries} in {chunks} aggregated exactly once, {errors}{again}, "
            f"root {self.root[:SHOWN]}, step {self.step}"
        )
