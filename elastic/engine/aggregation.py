"""Aggregation of a step: the master's state, and the partials folded into it since the last commit."""

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
from elastic.core.model.partial import Partial
from elastic.core.model.step import StepState
from elastic.core.model.written import Written
from elastic.stages.failure_report import failure_of, hint_of
from elastic.stages.transport.transport import Transport

#: A state counts as growing while at least this share of merged keys is new. With two workers, the share of new words
#: begins at four fifths for the Linux kernel's sources, where it stays high, and at one half for repetitive texts.
_MIN_NEW_SHARE = 0.6


def _state_length(state: Any) -> int:
    """Return the number of elements of a state; 0 if it is not a collection."""
    # Checks types, not `__len__`: an array without dimensions has that method, but it raises.
    return len(state) if isinstance(state, Mapping | Set | Sequence) else 0


class _GrowthTracker:
    """Estimator of a state's growth from its elements and the bytes of the states merged into it.

    Merged states are not always decoded. The tracker estimates their elements from their bytes, with the density of the
    first merged state, whose elements it knows.
    """

    def __init__(self) -> None:
        self._density = 0.0
        self._merged = self._new = 0.0

    def record(self, size: int, before: int, after: int) -> None:
        """Record the merge of a state of `size` bytes that changed the number of elements from `before` to `after`."""
        if not before:
            self._density = after / max(size, 1)
        else:
            self._merged += self._density * size
            self._new += after - before

    def take(self) -> bool:
        """Return whether the merges since the last call made the state grow."""
        merged, new, self._merged, self._new = self._merged, self._new, 0.0, 0.0
        return new > 0 and new >= _MIN_NEW_SHARE * merged


#: Minimum bytes of encoded states that a background thread merges, so that workers need not wait. That thread then also
#: computes the result.
_BACKGROUND_MERGE_BYTES = 1 << 20

#: Maximum number of partials that wait for the background thread.
_MAX_PENDING_MERGES = 2


@dataclass(frozen=True, slots=True)
class _MergeStats:
    """Duration and effect of the merge of a partial."""

    seconds: float
    #: True if the merge made the state grow
    growing: bool


class Aggregation:
    """Accumulator of partials in one state; any thread may call `value`, only the master's thread the rest.

    Committing or reading the result blocks until all pending merges are done.
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
        #: partials that are being merged, or whose merge was not reported yet
        self._merges: deque[tuple[Partial, Future[_MergeStats]]] = deque()
        self._thread = ThreadPoolExecutor(1, "aggregation")
        #: True once the background thread was used
        self._is_large = False
        #: the result, if the background thread computes it
        self._result: Future[Any] | None = None
        # Aggregators that act while merging, or need an order, may hold objects that belong to this thread.
        self._may_use_thread = aggregator.stored and not aggregator.ordered

    def restore(self, states: Iterable[bytes]) -> None:
        """Merge the states that earlier masters committed, in their order.

        Raises:
            StepFailedError: The aggregator failed.
            EncodingError: A state belongs to another aggregator.
        """
        self._merge_all(states, "the stored states")

    def fold(self, partial: Partial) -> None:
        """Merge a partial into the state, now or in the background."""
        others = f" and {partial.chunks - 1} others" if partial.chunks > 1 else ""
        merge = bound(self._merge_all, partial.states, f"chunk {partial.first}{others}", partial.live_state)
        waiting = [future for _, future in self._merges if not future.done()]
        if waiting or (self._may_use_thread and sum(map(len, partial.states)) >= _BACKGROUND_MERGE_BYTES):
            if len(waiting) >= _MAX_PENDING_MERGES:
                waiting[0].exception()  # blocks until it is done; `merged` raises its error
            merged = self._thread.submit(merge)
            self._is_large = True
        else:
            merged = Future()
            merged.set_result(merge())
        self._merges.append((partial, merged))
        self._uncommitted.append(replace(partial, live_state=None))

    @property
    def is_merged(self) -> bool:
        """True if no merge is pending."""
        return all(future.done() and not future.exception() for _, future in self._merges)

    def merged(self, *, block: bool = False) -> Iterator[tuple[Partial, _MergeStats]]:
        """Yield the partials merged since the last call, with the statistics of each merge.

        Args:
            block: True to wait for all pending merges.

        Raises:
            StepFailedError: The aggregator failed; the step must end, because the state may hold half a partial.
            EncodingError: A partial holds a state of another aggregator.
        """
        while self._merges and (block or self._merges[0][1].done()):
            partial, future = self._merges[0]
            merged = future.result()
            self._merges.popleft()
            yield partial, merged

    def value(self) -> Any:
        """Return the aggregator's result over all partials folded so far.

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
        """Wait for all pending merges; start to compute a wanted result in the background if it is large.

        Raises the errors of `merged`.
        """
        for _ in self.merged(block=True):
            pass
        if wanted and self._is_large:
            self._result = self._thread.submit(self.value)

    def result(self) -> Any:
        """Return the final value; reuse the computation that `finish` started.

        Raises the errors of `value`.
        """
        return self.value() if self._result is None else self._result.result()

    @property
    def has_uncommitted(self) -> bool:
        """True if partials were folded since the last commit."""
        return bool(self._uncommitted)

    def take_uncommitted(self) -> list[Partial]:
        """Return the partials folded since the last call; the next commit stores them."""
        folded, self._uncommitted = self._uncommitted, []
        return folded

    @property
    def written(self) -> Written | None:
        """Files that the step wrote so far; None if it writes none."""
        return None

    def check(self) -> None:
        """Check that a new step can store its result, without changing anything.

        Raises:
            UsageError: It cannot.
        """

    def open(self) -> None:
        """Prepare the folders of the result; called before workers start."""

    def begin(self) -> None:
        """Create what workers write to; called after `open`, once the run records that the step has begun."""

    def finalize(self, transport: Transport) -> Iterator[None]:
        """Finish the result after the last fold; yield regularly, so that the master can stop it."""
        return iter(())

    def release(self, outcome: StepState, *, is_durable: bool) -> None:
        """Give up the folders of a step that has ended. Never raises.

        Args:
            outcome: State in which the step ended.
            is_durable: True if the step can be resumed unless it is complete.
        """

    def close(self) -> None:
        """Release the thread and the files, without waiting for pending merges; may be called twice."""
        self._thread.shutdown(wait=False, cancel_futures=self._result is None)

    def _merge_all(self, states: Iterable[bytes], place: str, live_state: Any = None) -> _MergeStats:
        """Merge encoded states, or the one live state in their place, and return the statistics."""
        began = time.perf_counter()
        try:
            with self._lock:
                if live_state is None:
                    for frame in states:
                        self._merge(decompress(frame))
                else:
                    self._merge_live_state(live_state)
        except (Exception, SystemExit) as error:
            if isinstance(error, ElasticError) and not isinstance(error, UsageError):
                raise
            raise self._failure(self._method_of(error), place, error, hint_of(error)) from error
        return _MergeStats(time.perf_counter() - began, self._growth.take())

    def _merge(self, data: bytes) -> None:
        elements = 0 if self._is_fresh else _state_length(self._state)
        if self._is_first:
            self._state = self._aggregator.decode(data)
        else:
            self._state = self._aggregator.merge_encoded(self._so_far(), data)
        self._is_fresh = False
        self._growth.record(len(data), elements, _state_length(self._state))

    def _merge_live_state(self, state: Any) -> None:
        self._state = state if self._is_first else self._aggregator.merge(self._so_far(), state)
        self._is_fresh = False

    @property
    def _is_first(self) -> bool:
        """True if the next state can be taken as it is; aggregators that act while merging must merge it."""
        return self._is_fresh and self._aggregator.stored

    def _so_far(self) -> Any:
        return self._aggregator.create() if self._is_fresh else self._state

    def _failure(self, method: str, place: str, error: BaseException, hint: str = "") -> StepFailedError:
        failed = failure_of(error, chunk_id=0, place=place, function=f"aggregator {self._aggregator}")
        cause = f"{failed.error_type}: {failed.message}" if failed.message else failed.error_type
        return StepFailedError(self._run_id, f"{failed.function} failed in {method} on {place}: {cause}{hint}")

    def _method_of(self, error: BaseException) -> str:
        """Return the name of the aggregator's method that raised an error."""
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        is_own = type(self._aggregator).merge_encoded is not Aggregator.merge_encoded
        return next((name for name in names if name in ("decode", "merge")), "merge_encoded" if is_own else "merge")
