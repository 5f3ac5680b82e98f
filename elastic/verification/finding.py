"""Findings: what a verification has found, and what it has seen of a step."""

from dataclasses import dataclass, replace

from elastic.core.model.chunk import describe_chunks
from elastic.core.receipts.merkle import ROOT_VERSION, SHOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as the run wrote it, or that cannot be."""

    #: one sentence, without the place
    what: str
    #: the step; None where it is about the whole run
    step: int | None = None
    #: chunks `[first, stop)`; None where it is about no chunk in particular
    first: int | None = None
    stop: int | None = None

    def __str__(self) -> str:
        place = [] if self.step is None else [f"step {self.step}"]
        if self.first is not None and self.stop is not None:
            place.append(describe_chunks(self.first, self.stop))
        return f"{', '.join(place)}: {self.what}" if place else self.what


class Findings:
    """Collects what is found in a step; neighbouring chunks with the same finding become one."""

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
    """What a verification has seen of a step."""

    step: int
    name: str
    state: str
    #: read from the source, and in the result unless they failed
    entries: int
    chunks: int
    #: entries that user code failed on, and which are not in the result
    errors: int
    #: of chunk ids, entries, failed entries and what was read: as the run printed it; empty where chunks are missing
    root: str
    #: of all that and the receipts as well: no other run has it
    receipts_root: str
    #: the number of the definition of the roots, see `elastic.core.receipts.merkle`
    root_version: int = ROOT_VERSION
    #: chunks that were read again and compared
    chunks_recomputed: int = 0
    #: chunks whose partial results were computed again and compared
    chunks_rerun: int = 0
    #: what could not be checked, in sentences
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        again = f", {self.chunks_recomputed:,} chunks read again" if self.chunks_recomputed else ""
        again += f", {self.chunks_rerun:,} of them run again" if self.chunks_rerun else ""
        errors = f"{self.errors:,} failed and left out" if self.errors else "0 errors"
        return (
            f"verified: {self.entries:,} entries in {self.chunks:,} chunks aggregated exactly once, {errors}{again}, "
            f"root {self.root[:SHOWN]}, step {self.step}"
        )
