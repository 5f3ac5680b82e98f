"""The result of a run, and how it prints."""

from dataclasses import dataclass, field
from typing import Any, Self

from elastic.core.errors import ElasticError
from elastic.core.ledger.chunk_locations import Loss
from elastic.core.model.step import StepState
from elastic.core.receipts.merkle import SHOWN

#: Nodes that a result names when it is printed.
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a step gives: the aggregator's result, and the account of how it came about."""

    run_id: str
    step: int
    name: str
    state: StepState
    #: what the aggregator's `finish` returned; None when the step did not complete
    value: Any
    #: entries read from the source
    entries: int
    chunks: int
    #: Merkle root over the chunks in hexadecimal (`elastic.core.receipts.merkle`); empty when the run did not complete
    root: str = ""
    #: number of chunks that left a receipt, by stage
    receipts: dict[str, int]
    #: what happened that should not, by name: chunks_sent_again, duplicates_dropped, workers_lost, ...
    counters: dict[str, int] = field(default_factory=dict)
    #: workers and nodes that were lost, by name
    losses: tuple[Loss, ...] = ()
    #: seconds from the start of the step to its end
    seconds: float = 0.0
    #: why the step did not complete; None when it did
    error: ElasticError | None = None
    #: what interceptors raised
    interceptor_errors: tuple[str, ...] = ()

    def check(self) -> Self:
        """Return this result if its step completed, else raise its error."""
        if self.error is not None:
            raise self.error
        return self

    @property
    def retries(self) -> int:
        """Chunks that were sent again."""
        return self.counters.get("chunks_sent_again", 0)

    @property
    def errors(self) -> int:
        """Entries that user code failed on, and which are not in the value."""
        return self.counters.get("entries_failed", 0)

    def __str__(self) -> str:
        counted = f"{_many(self.entries, 'entry', 'entries')} in {_many(self.chunks, 'chunk', 'chunks')}"
        if self.error is not None:
            before = f"{counted} before that{self._lost}, {self.seconds:.2f} s"
            return f"{self.state}: {self.error}; {before}, run {self.run_id}"
        if not self.state.is_complete:
            return f"{self.state}: {counted} so far, {self._errors}, run {self.run_id}"
        again = f", {self.retries:,} sent again" if self.retries else ""
        once = f"{counted} aggregated exactly once{again}, {self._errors}{self._lost}"
        root = f", root {self.root[:SHOWN]}" if self.root else ""
        return f"{self.state}: {once}{root}, {self.seconds:.2f} s, run {self.run_id}"

    @property
    def _lost(self) -> str:
        """The nodes that were lost, or lost workers, by name."""
        nodes = list(dict.fromkeys(loss.node_id for loss in self.losses))
        if not nodes:
            return ""
        more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
        return f", {_many(len(self.losses), 'loss', 'losses')} on {', '.join(nodes[:_SHOWN])}{more}"

    @property
    def _errors(self) -> str:
        if not self.errors:
            return "0 errors"
        return f"{_many(self.errors, 'entry', 'entries')} failed and {'is' if self.errors == 1 else 'are'} left out"


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
