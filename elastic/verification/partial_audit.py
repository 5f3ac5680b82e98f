"""The state log: whether the partial results that were kept are those that the receipts name, each once.

Both are read in the order in which they were folded, side by side, so that a log of any length takes little memory.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Generic, TypeVar

from elastic.core.model.failure import DeadLetter
from elastic.core.model.partial import chunks_of
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.inspection import StoredState
from elastic.verification.finding import Findings

#: When something is missing in the log, so many partials are looked at for the one that comes next in it.
_AHEAD = 64

#: A partial has at most so many states: one of each worker of the master's own node.
_MOST_STATES = 1024

ItemT = TypeVar("ItemT")


@dataclass(slots=True)
class ExpectedPartial:
    """A partial, as its receipts name it. No two have the same digest."""

    digest: bytes
    #: chunks `[first, stop)` of each of its batches
    batches: list[tuple[int, int]] = field(default_factory=list)
    #: entries that failed
    failed: int = 0

    def take(self, row: ReceiptRow) -> bool:
        """Take in the next row of receipts, if it belongs to this partial."""
        if row.states != self.digest:
            return False
        self.batches.append((row.first, row.stop))
        self.failed += sum(row.failed)
        return True

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Chunks `[first, stop)` of it; what follows each other is together."""
        spans: list[tuple[int, int]] = []
        for first, stop in self.batches:
            if spans and spans[-1][1] == first:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((first, stop))
        return spans


def named_partials(rows: Iterable[ReceiptRow], *, ordered: bool) -> Iterator[ExpectedPartial]:
    """Yield the partials that rows of receipts name.

    Args:
        rows: In the order in which they were folded.
        ordered: Each row is a partial of its own.
    """
    named: ExpectedPartial | None = None
    for row in rows:
        if named is None or ordered or not named.take(row):
            if named is not None:
                yield named
            named = ExpectedPartial(row.states)
            named.take(row)
    if named is not None:
        yield named


@dataclass(frozen=True, slots=True)
class MatchedPartial:
    """A partial that was found in the log, and the numbers of its states there."""

    named: ExpectedPartial
    ordinals: tuple[int, ...]


class PartialAudit:
    """Compares the log with the partials that receipts name.

    Args:
        named: In the order in which they were folded.
        states: The log.
        letters_of: Returns the dead letters of chunks `[first, stop)` as they came back with them, or None when they
            are not kept.
        findings: Where to tell what is wrong.
    """

    def __init__(
        self,
        named: Iterable[ExpectedPartial],
        states: Iterable[StoredState],
        letters_of: Callable[[int, int], list[DeadLetter] | None],
        findings: Findings,
    ) -> None:
        self._named, self._states = _PeekableIterator(named), _PeekableIterator(states)
        self._letters_of, self._findings = letters_of, findings
        #: the chunks of the partials that were found, by the digest of their states
        self._found: dict[bytes, list[tuple[int, int]]] = {}
        #: partials whose failed entries are not kept, so that their states cannot be compared
        self.unproved = 0
        #: states that may belong to those, besides one for each
        self._spare = 0

    def matched(self) -> Iterator[MatchedPartial]:
        """Compare all, and yield what is in both."""
        while self._named.peek(1):
            named = self._named.take()
            while (count := self._count(named, 0)) is None and self._is_strange(named):
                self._tell_strange(self._states.take())
            if count:
                states = [self._states.take() for _ in range(count)]
                self._found[_digest(*states)] = named.spans
                yield MatchedPartial(named, tuple(state.ordinal for state in states))
            elif count == 0:
                self._pass_over(named)
            else:
                self._tell_missing(named)
        while self._states.peek(1):
            self._tell_strange(self._states.take())

    def _count(self, named: ExpectedPartial, at: int) -> int | None:
        """Return how many states from the one at `at` on are those of a partial.

        That is None when they are not, and 0 when it cannot be known.
        """
        behind = self._behind(named)
        if behind is None:
            return 0
        hasher = blake2b(digest_size=16)
        for count, state in enumerate(self._states.peek(at + min(len(named.batches), _MOST_STATES))[at:], 1):
            hasher.update(state.data)
            whole = hasher.copy()
            whole.update(behind)
            if whole.digest() == named.digest and not state.damage:
                return count
        return None

    def _is_strange(self, named: ExpectedPartial) -> bool:
        """Tell whether the next state is in the way of a partial that follows it."""
        ahead = range(1, len(self._states.peek(len(named.batches) + self._spare + 1)))
        return any(self._count(named, at) for at in ahead) and not any(
            self._count(other, 0) for other in self._named.peek(1)
        )

    def _pass_over(self, named: ExpectedPartial) -> None:
        """Leave out a partial that cannot be compared: it has one state, or one of each worker."""
        self.unproved += 1
        self._spare += len(named.batches) - 1
        if self._states.peek(1):
            self._states.take()

    def _tell_missing(self, named: ExpectedPartial) -> None:
        """Tell of a partial that is not where it should be in the log; a state that was changed goes with it."""
        what = "the partial result that holds it is not in the log of states, or was changed"
        state = self._states.peek(1)
        is_next = any(self._count(other, 0) for other in self._named.peek(_AHEAD))
        if state and not is_next and not self._repeats(state[0]):
            damage = self._states.take().damage
            what += f" ({damage})" if damage else ""
        for first, stop in named.spans:
            self._findings.add(what, first, stop)

    def _tell_strange(self, state: StoredState) -> None:
        for first, stop in self._repeats(state):
            what = f"the partial result that holds it is in the log twice, the second time as state {state.ordinal}"
            self._findings.add(what, first, stop)
        if not self._repeats(state) and self._spare and not state.damage:
            self._spare -= 1
        elif not self._repeats(state):
            self._findings.add(state.damage or f"state {state.ordinal} of the log belongs to no receipts")

    def _repeats(self, state: StoredState) -> list[tuple[int, int]]:
        """Return the chunks of an earlier partial of which a state is the whole."""
        return self._found.get(_digest(state), [])

    def _behind(self, named: ExpectedPartial) -> bytes | None:
        """Return what stands behind the states in the digest of a partial; None when that is not known."""
        letters: list[DeadLetter] = []
        for span in named.spans if named.failed else ():
            kept = self._letters_of(*span)
            if kept is None:
                return None
            letters += kept
        failed = sum(letter.entries for letter in letters)
        return chunks_of(named.batches, letters) if failed == named.failed else None


def _digest(*states: StoredState) -> bytes:
    hasher = blake2b(digest_size=16)
    for state in states:
        hasher.update(state.data)
    return hasher.digest()


class _PeekableIterator(Generic[ItemT]):
    """An iterator that can be looked into."""

    def __init__(self, items: Iterable[ItemT]) -> None:
        self._rest = iter(items)
        self._seen: deque[ItemT] = deque()

    def peek(self, count: int) -> list[ItemT]:
        """Return the next items, up to so many, without taking them."""
        self._seen.extend(islice(self._rest, max(0, count - len(self._seen))))
        return list(islice(self._seen, count))

    def take(self) -> ItemT:
        """Return the next item; there is one."""
        self.peek(1)
        return self._seen.popleft()
