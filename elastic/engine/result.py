"""Result of a step, and its text form."""

import html
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

from elastic.core.errors import ElasticError
from elastic.core.frames import is_frame
from elastic.core.model.chunk_location import Loss
from elastic.core.model.step import StepState
from elastic.core.model.written import Written
from elastic.core.receipts.merkle import SHOWN
from elastic.core.record_table import RecordTable, shown
from elastic.core.text import message, number_of

#: Maximum number of nodes that a printed result names.
_MAX_SHOWN_NODES = 5
#: Maximum number of rows of a value in a notebook, and of characters of its representation.
_MAX_ROWS, _MAX_SHOWN_WIDTH = 10, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of a step: the aggregated value, with counters, receipts and losses."""

    run_id: str
    step: int
    name: str
    state: StepState
    #: value from the aggregator's `finish`; None if the step did not complete
    value: Any
    #: files that a flow with `write_jsonl` or another write has written; None for a flow without
    written: Written | None = None
    #: number of entries read from the source
    entries: int
    chunks: int
    #: Merkle root over the chunks in hexadecimal (`elastic.core.receipts.merkle`); empty if the run did not complete
    root: str = ""
    #: number of chunks with a receipt, by stage
    receipts: dict[str, int]
    #: numbers of unusual events by name: chunks_sent_again, duplicates_dropped, workers_lost, ...
    counters: dict[str, int] = field(default_factory=dict)
    #: lost workers and nodes
    losses: tuple[Loss, ...] = ()
    #: duration of the step in seconds
    seconds: float = 0.0
    #: reason why the step did not complete; None if it did
    error: ElasticError | None = None
    #: errors that interceptors raised, one sentence each
    interceptor_errors: tuple[str, ...] = ()
    #: False if the step has no aggregator: its outputs are counted and not kept, and `value` is None
    outputs_kept: bool = True

    def check(self) -> Self:
        """Return this result, or raise the error of a step that did not complete."""
        if self.error is not None:
            raise self.error
        return self

    @property
    def retries(self) -> int:
        """Number of chunks that were sent again."""
        return self.counters.get("chunks_sent_again", 0)

    @property
    def errors(self) -> int:
        """Number of entries on which user functions failed; they are not in the value."""
        return self.counters.get("entries_failed", 0)

    def __str__(self) -> str:
        counted = f"{number_of(self.entries, 'entry', 'entries')} in {number_of(self.chunks, 'chunk', 'chunks')}"
        if self.error is not None:
            before = f"{counted} before that{self._lost}, {self.seconds:.2f} s"
            return f"{self.state}: {self.error}; {before}, run {self.run_id}"
        if not self.state.is_complete:
            return f"{self.state}: {counted} so far, {self._errors}, run {self.run_id}"
        again = f", {self.retries:,} sent again" if self.retries else ""
        kept = "" if self.outputs_kept else ", outputs not kept (no aggregator)"
        once = f"{counted} aggregated exactly once{again}, {self._errors}{self._lost}{kept}"
        root = f", root {self.root[:SHOWN]}" if self.root else ""
        return f"{self.state}: {once}{root}, {self.seconds:.2f} s, run {self.run_id}"

    def __repr__(self) -> str:
        return f"<Result {self.name!r}: {self}; value: {self._shown_value}>"

    def _repr_html_(self) -> str:
        """Return the first rows of the value, and bars of the receipts, for a notebook."""
        rows = _rows_of(self.value)
        if rows is None:
            value = f"<p><code>{html.escape(self._shown_value)}</code></p>"
        else:
            value = RecordTable.of(rows).html() + f"<p>{number_of(len(self.value), 'row', 'rows')}</p>"
        return f"<div><p>{html.escape(message(str(self)))}</p>{value}{self._receipt_bars}</div>"

    @property
    def _shown_value(self) -> str:
        value = self.value
        if is_frame(value):
            return (
                f"frame of {number_of(value.height, 'row', 'rows')} and {number_of(value.width, 'column', 'columns')}"
            )
        if isinstance(value, Counter):
            # The items that a Counter shows first, without the rest of a large one.
            value = dict(value.most_common(_MAX_ROWS + 1))
        return shown(value, _MAX_SHOWN_WIDTH)

    @property
    def _receipt_bars(self) -> str:
        """HTML bars of the chunks that have a receipt, by stage."""
        most = max(self.receipts.values(), default=0)
        bars = "".join(
            f"<tr><td>{html.escape(stage)}</td>"
            f'<td style="width: 12em"><div style="background: #4a90d9; height: 0.8em; '
            f'width: {100 * count / most if most else 0:.0f}%"></div></td>'
            f'<td style="text-align: right">{count:,}</td></tr>'
            for stage, count in self.receipts.items()
        )
        return f"<table><tbody>{bars}</tbody></table>"

    @property
    def _lost(self) -> str:
        """Clause with the number of losses and the nodes on which they happened; empty if there were none."""
        nodes = list(dict.fromkeys(loss.node_id for loss in self.losses))
        if not nodes:
            return ""
        more = f" and {len(nodes) - _MAX_SHOWN_NODES} more" if len(nodes) > _MAX_SHOWN_NODES else ""
        return f", {number_of(len(self.losses), 'loss', 'losses')} on {', '.join(nodes[:_MAX_SHOWN_NODES])}{more}"

    @property
    def _errors(self) -> str:
        if not self.errors:
            return "0 errors"
        return f"{number_of(self.errors, 'entry', 'entries')} failed and {'is' if self.errors == 1 else 'are'} left out"


def _rows_of(value: Any) -> list[Any] | None:
    """Return the first rows of a value that has rows, as records; None for another value."""
    if is_frame(value):
        return list(value.head(_MAX_ROWS).iter_rows(named=True))
    if isinstance(value, Counter):
        return [{"key": key, "count": count} for key, count in value.most_common(_MAX_ROWS)]
    if isinstance(value, dict):
        return [{"key": key, "value": item} for key, item in islice(value.items(), _MAX_ROWS)]
    if type(value) in (list, tuple):
        return list(value[:_MAX_ROWS])
    return None
