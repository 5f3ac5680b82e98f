"""The aggregation of a step: the master's state, and what was folded into it since the last commit."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from elastic.core.aggregator import AnyAggregator
from elastic.core.encoding import decompress
from elastic.core.errors import ElasticError, StepFailedError
from elastic.core.failure import DeadLetter
from elastic.core.partial import Partial
from elastic.core.store import ReceiptRow
from elastic.stages.failure import failure_of
from elastic.stages.transport import Transport


@dataclass(frozen=True, slots=True)
class Folded:
    """What is to be kept of partials that were folded."""

    states: tuple[bytes, ...]
    rows: tuple[ReceiptRow, ...]
    letters: tuple[DeadLetter, ...]


class Aggregation:
    """Folds partials into one state; `value` may be asked from any thread, the rest belongs to the master's."""

    def __init__(self, aggregator: AnyAggregator, run_id: str) -> None:
        self._aggregator = aggregator
        self._run_id = run_id
        self._state: Any = None
        self._is_fresh = True
        #: guards the state
        self._lock = threading.Lock()
        self._uncommitted: list[Partial] = []

    def restore(self, states: Iterable[bytes]) -> None:
        """Merge what earlier masters have folded and committed, in their order.

        Raises:
            StepFailedError: The aggregator failed.
            EncodingError: It is no state of this aggregator.
        """
        self._merge_all(states, "what was kept of it")

    def fold(self, partial: Partial) -> None:
        """Merge a partial into the state.

        Raises:
            StepFailedError: The aggregator failed; the step cannot go on, since the state may hold a part.
            EncodingError: The partial holds no state of this aggregator.
        """
        others = f" and {partial.chunks - 1} others" if partial.chunks > 1 else ""
        self._merge_all(partial.states, f"chunk {partial.first}{others}")
        self._uncommitted.append(partial)

    def value(self) -> Any:
        """Return the aggregator's result over what has been folded so far.

        Raises:
            StepFailedError: The aggregator failed.
        """
        try:
            with self._lock:
                return self._aggregator.finish(self._aggregator.create() if self._is_fresh else self._state)
        except (Exception, SystemExit) as error:
            raise self._failure("finish", "the result", error) from error

    @property
    def is_dirty(self) -> bool:
        """True when something was folded since the last commit."""
        return bool(self._uncommitted)

    def commit(self) -> Folded:
        """Return what was folded since the last call, as it is kept."""
        folded, self._uncommitted = self._uncommitted, []
        return Folded(
            states=tuple(state for partial in folded for state in partial.states) if self._aggregator.stored else (),
            rows=tuple(row for partial in folded for row in partial.rows),
            letters=tuple(letter for partial in folded for letter in partial.letters),
        )

    def prepare(self) -> None:
        """Do what is needed before workers start."""

    def conclude(self, transport: Transport) -> Iterator[None]:
        """Do what is left to do when all is folded; yields now and then, so that it can be stopped."""
        return iter(())

    def close(self) -> None:
        """Release what is open; may be called twice."""

    def _merge_all(self, states: Iterable[bytes], what: str) -> None:
        method = "decode"
        try:
            with self._lock:
                for frame in states:
                    method = "decode"
                    state = self._aggregator.decode(decompress(frame))
                    method = "merge"
                    self._merge(state)
        except ElasticError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failure(method, what, error) from error

    def _merge(self, state: Any) -> None:
        if self._is_fresh and self._aggregator.stored:
            self._state = state
        else:
            # What is not stored acts when it is merged, so its first state is merged as well.
            before = self._aggregator.create() if self._is_fresh else self._state
            self._state = self._aggregator.merge(before, state)
        self._is_fresh = False

    def _failure(self, method: str, what: str, error: BaseException) -> StepFailedError:
        failed = failure_of(error, chunk_id=0, place=what, function=f"aggregator {self._aggregator}")
        cause = f"{failed.error_type}: {failed.message}" if failed.message else failed.error_type
        return StepFailedError(self._run_id, f"{failed.function} failed in {method} on {what}: {cause}")
