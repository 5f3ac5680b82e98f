"""The budget of a step: how many entries may fail."""

from collections.abc import Mapping, Sequence

from elastic.core.ledger.instructions import Fail
from elastic.core.model.failure import Failure
from elastic.core.policies.error_policy import ErrorPolicy

#: Entries after which the share of those that failed says something.
_RATIO_FROM = 1000


#: Stands for failures that an earlier master of the step has seen.
_EARLIER = Failure(
    chunk_id=0,
    index=None,
    place="all entries",
    function="the flow",
    error_type="EntryError",
    message="an earlier process ran them; `elastic dead-letters list` shows those that were kept",
)


class ErrorBudget:
    """Judges the failed entries of a step."""

    def __init__(self, tolerance: ErrorPolicy) -> None:
        self._tolerance = tolerance
        self._first: Failure | None = None
        self._last: Failure | None = None

    def note(self, failures: Sequence[Failure]) -> None:
        """Remember failures of a partial, for the sentence that says why the step ended."""
        self._last = failures[-1]
        self._first = min(filter(None, (self._first, *failures)), key=lambda one: (one.chunk_id, one.index or 0))

    def judge(self, counters: Mapping[str, int], *, is_end: bool = False) -> Fail | None:
        """Return why the step must end; None while more entries may fail.

        Args:
            counters: `entries` and `entries_failed` so far.
            is_end: All entries are counted, so that a share of few says something as well.
        """
        failed, entries = counters.get("entries_failed", 0), counters.get("entries", 0)
        if not failed:
            return None
        if is_end and failed >= entries:
            # A program that is wrong fails on every entry, and its result must not look like one.
            how = "the only entry failed" if entries == 1 else f"all {entries:,} entries failed, the first of them"
            return Fail(self._first or _EARLIER, how)
        if self._last is None:
            return None
        excess = self._tolerance.violation(failed, entries, with_ratio=is_end or entries >= _RATIO_FROM)
        return None if excess is None else Fail(self._last, f"{excess}; the last of them")
