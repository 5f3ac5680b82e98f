"""Error budget of a step: the number of entries that may fail."""

from collections.abc import Mapping, Sequence

from elastic.core.ledger.instructions import Fail
from elastic.core.model.failure import Failure
from elastic.core.policies.error_policy import ErrorPolicy

#: Minimum number of entries before max_error_ratio applies.
_MIN_ENTRIES_FOR_RATIO = 1000


#: Placeholder for the failures of an earlier master of the step.
_EARLIER = Failure(
    chunk_id=0,
    index=None,
    place="all entries",
    function="the flow",
    error_type="EntryError",
    message="an earlier process ran them; `elastic dead-letters list` shows those that were kept",
)


class ErrorBudget:
    """Counter of a step's failures, checked against its error policy."""

    def __init__(self, policy: ErrorPolicy) -> None:
        self._policy = policy
        self._first: Failure | None = None
        self._last: Failure | None = None

    def record(self, failures: Sequence[Failure]) -> None:
        """Record the failures of a partial, for the error message of the step."""
        self._last = failures[-1]
        self._first = min(
            filter(None, (self._first, *failures)), key=lambda failure: (failure.chunk_id, failure.index or 0)
        )

    def check(self, counters: Mapping[str, int], *, is_end: bool = False) -> Fail | None:
        """Return the reason why the step must end; None while the budget is not exceeded.

        Args:
            counters: `entries` and `entries_failed` so far.
            is_end: True if all entries are counted, so that the ratio applies to small numbers as well.
        """
        failed, entries = counters.get("entries_failed", 0), counters.get("entries", 0)
        if not failed:
            return None
        if is_end and failed >= entries:
            # A faulty program fails on every entry. Its empty result must not look valid.
            how = "the only entry failed" if entries == 1 else f"all {entries:,} entries failed, the first of them"
            return Fail(self._first or _EARLIER, how)
        if self._last is None:
            return None
        excess = self._policy.violation(failed, entries, with_ratio=is_end or entries >= _MIN_ENTRIES_FOR_RATIO)
        return None if excess is None else Fail(self._last, f"{excess}; the last of them")
