"""The budget of a step: how many entries may fail."""

from collections.abc import Mapping

from elastic.core.failure import Failure
from elastic.core.instruction import Fail
from elastic.core.tolerance import Tolerance

#: Entries after which the share of those that failed says something.
_RATIO_FROM = 1000


class Budget:
    """Judges the failed entries of a step."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._last: Failure | None = None

    def note(self, failure: Failure) -> None:
        """Remember a failure, for the sentence that says why the step ended."""
        self._last = failure

    def judge(self, counters: Mapping[str, int], *, is_end: bool = False) -> Fail | None:
        """Return why the step must end; None while more entries may fail.

        Args:
            counters: `entries` and `entries_failed` so far.
            is_end: All entries are counted, so that a share of few says something as well.
        """
        failed, entries = counters.get("entries_failed", 0), counters.get("entries", 0)
        if self._last is None or not failed:
            return None
        excess = self._tolerance.exceeded(failed, entries, with_ratio=is_end or entries >= _RATIO_FROM)
        return None if excess is None else Fail(self._last, excess)
