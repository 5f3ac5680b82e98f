"""The aggregation of a step: the master's state, and what was folded into it since the last commit.

Whether a state still grows with what is merged into it.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial as bound
from typing import Any

from elastic.core.contracts.aggregator import Aggregator, AnyAggregator
from elastic.core.encoding import decompress
from elastic.core.errors import ElasticError, StepFailedError, UsageError
from elastic.core.model.failure import DeadLetter
from elastic.core.model.partial import Partial
from elastic.core.model.receipt_row import ReceiptRow
from elastic.stages.failure_report import failure_of, hint_of
from elastic.stages.transport.transport import Transport

#: A state grows while so much of what is merged into it was not there before. Of the Linux kernel's sources, where
#: words stay new to the end, two workers bring four fifths new words at first; of texts that repeat each other, half.
_MIN_NEW_SHARE = 0.6


def _state_length(state: Any) -> int:
    """Return the number of elements of a state; 0 where it has none to count."""
    # Not of all that has a length: an array of no dimensions says that it has one, and raises.
    return len(state) if isinstance(state, Mapping | Set | Sequence) else 0


class _GrowthTracker:
    """Follows the elements of a state, and the bytes of the encoded states that are merged into it.

    How many elements those have is told from their bytes, since they are not always decoded: as many to a byte as the
    first one had, of which the state consisted alone.
    """

    def __init__(self) -> None:
        self._density = 0.0
        self._came = self._new = 0.0

    def note(self, size: int, before: int, after: int) -> None:
        """A state of `size` bytes was merged, and there are `after` elements instead of `before`."""
        if not before:
            self._density = after / max(size, 1)
        else:
            self._came += self._density * size
            self._new += after - before

    def take(self) -> bool:
        """Say whether what was noted since the last call made the state grow."""
        came, new, self._came, self._new = self._came, self._new, 0.0, 0.0
        return new > 0 and new >= _MIN_NEW_SHARE * came


#: Encoded states of so many bytes are merged in a thread of their own, so that workers are not kept waiting meanwhile;
#: of them the result is made there as well.
_BACKGROUND_MERGE_BYTES = 1 << 20

#: Partials that are given to that thread and not merged, at most.
_MAX_PENDING_MERGES = 2


@dataclass(frozen=True, slots=True)
class _MergeStats:
    """What it took to merge a partial."""

    seconds: float
    #: the state grew with it
    growing: bool


@dataclass(frozen=True, slots=True)
class Uncommitted:
    """What is to be kept of partials that were folded."""

    states: tuple[bytes, ...]
    rows: tuple[ReceiptRow, ...]
    letters: tuple[DeadLetter, ...]


class Aggregation:
    """Folds partials into one state; `value` may be asked from any thread, the rest belongs to the master's.

    Whoever keeps what was folded, or asks for the result, waits until all of it is merged.
    """

    def __init__(self, aggregator: AnyAggregator, run_id: str) -> None:
        self._aggregator = aggregator
        self._run_id = run_id
        self._state: Any = None
        self._is_fresh = True
        #: guards the state
        self._lock = threading.Lock()
        self._uncommitted: list[Partial] = []
        self._growth = _GrowthTracker()
        #: what was given to be merged and not told as merged
        self._merges: deque[tuple[Partial, Future[_MergeStats]]] = deque()
        self._thread = ThreadPoolExecutor(1, "aggregation")
        #: something was given to that thread
        self._is_large = False
        #: the result, where that thread makes it
        self._result: Future[Any] | None = None
        # What acts when it is merged, or takes results in order, may hold what belongs to the thread that made it.
        self._may_be_beside = aggregator.stored and not aggregator.ordered

    def restore(self, states: Iterable[bytes]) -> None:
        """Merge what earlier masters have folded and committed, in their order.

        Raises:
            StepFailedError: The aggregator failed.
            EncodingError: It is no state of this aggregator.
        """
        self._merge_all(states, "what was kept of it")

    def fold(self, partial: Partial) -> None:
        """Merge a partial into the state, at once or soon."""
        others = f" and {partial.chunks - 1} others" if partial.chunks > 1 else ""
        merge = bound(self._merge_all, partial.states, f"chunk {partial.first}{others}", partial.at_hand)
        waiting = [future for _, future in self._merges if not future.done()]
        if waiting or (self._may_be_beside and sum(map(len, partial.states)) >= _BACKGROUND_MERGE_BYTES):
            if len(waiting) >= _MAX_PENDING_MERGES:
                waiting[0].exception()  # returns when it is done; `merged` raises it
            merged = self._thread.submit(merge)
            self._is_large = True
        else:
            merged = Future()
            merged.set_result(merge())
        self._merges.append((partial, merged))
        self._uncommitted.append(replace(partial, at_hand=None))

    @property
    def is_merged(self) -> bool:
        """True when all that was folded is in the state."""
        return all(future.done() and not future.exception() for _, future in self._merges)

    def merged(self, *, block: bool = False) -> Iterator[tuple[Partial, _MergeStats]]:
        """Yield what was merged since the last call, and what it took.

        Args:
            block: Wait until all is.

        Raises:
            StepFailedError: The aggregator failed; the step cannot go on, since the state may hold a part.
            EncodingError: A partial holds no state of this aggregator.
        """
        while self._merges and (block or self._merges[0][1].done()):
            partial, future = self._merges[0]
            merged = future.result()
            self._merges.popleft()
            yield partial, merged

    def value(self) -> Any:
        """Return the aggregator's result over what has been folded so far.

        Raises:
            StepFailedError: The aggregator failed.
        """
        wait([merged for _, merged in list(self._merges)])
        try:
            with self._lock:
                return self._aggregator.finish(self._so_far())
        except (Exception, SystemExit) as error:
            raise self._failure("finish", "the result", error) from error

    def finish(self, *, wanted: bool) -> None:
        """Wait until all is merged; if the result is wanted, and may take long, begin to make it.

        Raises what `merged` raises.
        """
        for _ in self.merged(block=True):
            pass
        if wanted and self._is_large:
            self._result = self._thread.submit(self.value)

    def result(self) -> Any:
        """Return the value of all, once: what `finish` has begun to make is not made again.

        Raises what `value` raises.
        """
        return self.value() if self._result is None else self._result.result()

    @property
    def has_uncommitted(self) -> bool:
        """True when something was folded since the last commit."""
        return bool(self._uncommitted)

    def commit(self) -> Uncommitted:
        """Return what was folded since the last call, as it is kept."""
        folded, self._uncommitted = self._uncommitted, []
        return Uncommitted(
            states=tuple(state for partial in folded for state in partial.states) if self._aggregator.stored else (),
            rows=tuple(row for partial in folded for row in partial.rows),
            letters=tuple(letter for partial in folded for letter in partial.letters),
        )

    def open(self) -> None:
        """Do what is needed before workers start."""

    def finalize(self, transport: Transport) -> Iterator[None]:
        """Do what is left to do when all is folded; yields now and then, so that it can be stopped."""
        return iter(())

    def close(self) -> None:
        """Release what is open; may be called twice. A merge that nobody will ask for any more is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=self._result is None)

    def _merge_all(self, states: Iterable[bytes], what: str, at_hand: Any = None) -> _MergeStats:
        """Merge states, or the one of them that is at hand, and return what it took."""
        began = time.perf_counter()
        try:
            with self._lock:
                if at_hand is None:
                    for frame in states:
                        self._merge(decompress(frame))
                else:
                    self._merge_at_hand(at_hand)
        except (Exception, SystemExit) as error:
            if isinstance(error, ElasticError) and not isinstance(error, UsageError):
                raise
            raise self._failure(self._method_of(error), what, error, hint_of(error)) from error
        return _MergeStats(time.perf_counter() - began, self._growth.take())

    def _merge(self, data: bytes) -> None:
        elements = 0 if self._is_fresh else _state_length(self._state)
        if self._is_first:
            self._state = self._aggregator.decode(data)
        else:
            self._state = self._aggregator.merge_encoded(self._so_far(), data)
        self._is_fresh = False
        self._growth.note(len(data), elements, _state_length(self._state))

    def _merge_at_hand(self, state: Any) -> None:
        self._state = state if self._is_first else self._aggregator.merge(self._so_far(), state)
        self._is_fresh = False

    @property
    def _is_first(self) -> bool:
        """True when the next state needs no merging; what is not stored acts when it is merged, so all of it is."""
        return self._is_fresh and self._aggregator.stored

    def _so_far(self) -> Any:
        return self._aggregator.create() if self._is_fresh else self._state

    def _failure(self, method: str, what: str, error: BaseException, hint: str = "") -> StepFailedError:
        failed = failure_of(error, chunk_id=0, place=what, function=f"aggregator {self._aggregator}")
        cause = f"{failed.error_type}: {failed.message}" if failed.message else failed.error_type
        return StepFailedError(self._run_id, f"{failed.function} failed in {method} on {what}: {cause}{hint}")

    def _method_of(self, error: BaseException) -> str:
        """Return the method of the aggregator that an error came from."""
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        is_own = type(self._aggregator).merge_encoded is not Aggregator.merge_encoded
        return next((name for name in names if name in ("decode", "merge")), "merge_encoded" if is_own else "merge")
