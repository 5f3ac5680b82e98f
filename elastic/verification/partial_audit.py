"""Partial audit: compares the log of stored partial results with the partials that the receipts name.

It reads both side by side, in the order in which they were folded, so that a log of any length takes little memory.
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

#: Number of partials that the audit searches for the next state of the log when one is missing.
_SEARCHED_PARTIALS = 64

#: Maximum number of states of a partial: one of each worker of the master's own node.
_MAX_STATES = 1024

ItemT = TypeVar("ItemT")


@dataclass(slots=True)
class ExpectedPartial:
    """Partial result as its receipts name it; no two have the same digest."""

    digest: bytes
    #: chunks `[first, stop)` of each of its batches
    batches: list[tuple[int, int]] = field(default_factory=list)
    #: number of entries that failed
    failed: int = 0

    def take(self, row: ReceiptRow) -> bool:
        """Add the next row of receipts if it belongs to this partial; return whether it does."""
        if row.states != self.digest:
            return False
        self.batches.append((row.first, row.stop))
        self.failed += sum(row.failed)
        return True

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Spans `[first, stop)` of its chunks; adjacent batches are joined."""
        spans: list[tuple[int, int]] = []
        for first, stop in self.batches:
            if spans and spans[-1][1] == first:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((first, stop))
        return spans


def named_partials(rows: Iterable[ReceiptRow], *, ordered: bool) -> Iterator[ExpectedPartial]:
    """Yield the partials named by rows of receipts.

    Args:
        rows: Rows in the order in which the master folded them.
        ordered: True if each row is a separate partial.
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
    """Partial that the audit found in the log, with the numbers of its states there."""

    named: ExpectedPartial
    ordinals: tuple[int, ...]


class PartialAudit:
    """Merge of two sequences: the states of the log, and the partials that receipts name.

    Args:
        named: Expected partials, in the order in which the master folded them.
        states: States of the log.
        dead_letters_of: Returns the dead letters of chunks `[first, stop)` as workers returned them, or None if they
            were changed since.
        findings: Collects the defects.
    """

    def __init__(
        self,
        named: Iterable[ExpectedPartial],
        states: Iterable[StoredState],
        dead_letters_of: Callable[[int, int], list[DeadLetter] | None],
        findings: Findings,
    ) -> None:
        self._named, self._states = _PeekableIterator(named), _PeekableIterator(states)
        self._dead_letters_of, self._findings = dead_letters_of, findings
        #: spans of chunks of each matched partial, by the digest of its states
        self._found: dict[bytes, list[tuple[int, int]]] = {}
        #: number of partials that cannot be compared, because dead letters of their failed entries are missing
        self.unproved = 0
        #: number of states that may belong to those partials, beyond one for each
        self._spare = 0

    def matched(self) -> Iterator[MatchedPartial]:
        """Compare both sequences and yield the partials that are in both."""
        while self._named.peek(1):
            named = self._named.take()
            while (count := self._count(named, 0)) is None and self._is_unexpected(named):
                self._report_unexpected(self._states.take())
            if count:
                states = [self._states.take() for _ in range(count)]
                self._found[_digest(*states)] = named.spans
                yield MatchedPartial(named, tuple(state.ordinal for state in states))
            elif count == 0:
                self._skip(named)
            else:
                self._report_missing(named)
        while self._states.peek(1):
            self._report_unexpected(self._states.take())

    def _count(self, named: ExpectedPartial, at: int) -> int | None:
        """Return the number of states, from the one at index `at` on, that make up a partial.

        It is None if they do not match the partial, and 0 if they cannot be compared.
        """
        trailer = self._digest_trailer(named)
        if trailer is None:
            return 0
        hasher = blake2b(digest_size=16)
        for count, state in enumerate(self._states.peek(at + min(len(named.batches), _MAX_STATES))[at:], 1):
            hasher.update(state.data)
            whole = hasher.copy()
            whole.update(trailer)
            if whole.digest() == named.digest and not state.damage:
                return count
        return None

    def _is_unexpected(self, named: ExpectedPartial) -> bool:
        """Return whether the next state is unexpected and the partial follows it in the log."""
        ahead = range(1, len(self._states.peek(len(named.batches) + self._spare + 1)))
        return any(self._count(named, at) for at in ahead) and not any(
            self._count(other, 0) for other in self._named.peek(1)
        )

    def _skip(self, named: ExpectedPartial) -> None:
        """Skip a partial that cannot be compared, and its states: one, or one of each worker."""
        self.unproved += 1
        self._spare += len(named.batches) - 1
        if self._states.peek(1):
            self._states.take()

    def _report_missing(self, named: ExpectedPartial) -> None:
        """Report a partial that is missing in the log, together with a changed state in its place."""
        what = "the partial result that holds it is not in the log of states, or was changed"
        state = self._states.peek(1)
        is_next = any(self._count(other, 0) for other in self._named.peek(_SEARCHED_PARTIALS))
        if state and not is_next and not self._repeats(state[0]):
            damage = self._states.take().damage
            what += f" ({damage})" if damage else ""
        for first, stop in named.spans:
            self._findings.add(what, first, stop)

    def _report_unexpected(self, state: StoredState) -> None:
        for first, stop in self._repeats(state):
            what = f"the partial result that holds it is in the log twice, the second time as state {state.ordinal}"
            self._findings.add(what, first, stop)
        if not self._repeats(state) and self._spare and not state.damage:
            self._spare -= 1
        elif not self._repeats(state):
            self._findings.add(state.damage or f"state {state.ordinal} of the log belongs to no receipts")

    def _repeats(self, state: StoredState) -> list[tuple[int, int]]:
        """Return the chunks of an earlier partial that consists of this state alone."""
        return self._found.get(_digest(state), [])

    def _digest_trailer(self, named: ExpectedPartial) -> bytes | None:
        """Return the bytes that follow the states in the digest of a partial; None if they are unknown."""
        letters: list[DeadLetter] = []
        for span in named.spans if named.failed else ():
            found = self._dead_letters_of(*span)
            if found is None:
                return None
            letters += found
        failed = sum(letter.entries for letter in letters)
        return chunks_of(named.batches, letters) if failed == named.failed else None


def _digest(*states: StoredState) -> bytes:
    hasher = blake2b(digest_size=16)
    for state in states:
        hasher.update(state.data)
    return hasher.digest()


class _PeekableIterator(Generic[ItemT]):
    """Iterator with look-ahead."""

    def __init__(self, items: Iterable[ItemT]) -> None:
        self._rest = iter(items)
        self._seen: deque[ItemT] = deque()

    def peek(self, count: int) -> list[ItemT]:
        """Return up to `count` next items without taking them."""
        self._seen.extend(islice(self._rest, max(0, count - len(self._seen))))
        return list(islice(self._seen, count))

    def take(self) -> ItemT:
        """Take and return the next item, which must exist."""
        self.peek(1)
        return self._seen.popleft()
