"""Which entries go together: found by folding the parts of chunks one after another into one growing state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.model.failure import DeadLetter
from elastic.stages.worker.isolation import RAISED, BisectedChunk, ChunkPart, fresh, halves

#: Takes outputs into a growing state; `True` says that they come before all that it holds. Raises what the
#: aggregator raises, and leaves the state as it was then.
Take = Callable[[Sequence[Any], bool], None]


def fold(parts: Sequence[ChunkPart], aggregator: AnyAggregator) -> tuple[Any, list[DeadLetter]]:
    """Return the state of the entries that go together, and a letter for each that does not.

    Raises:
        RefusedError: An entry does not agree, and entries must not fail.
        Exception: The aggregator fails in another way, on all of them.
    """
    try:
        return aggregator.add_many(aggregator.create(), iter(BisectedChunk([*parts], []).outputs)), []
    except RAISED:
        agreed = agreement(parts, aggregator) if parts else Agreed()
        sifted = agreed.sifted()
        if not (aggregator.ordered or isinstance(aggregator, ShardedAggregator) or not parts):
            return aggregator.decode(agreed.state), sifted.letters
        if not sifted.letters:
            raise
        return aggregator.add_many(aggregator.create(), iter(sifted.outputs)), sifted.letters


def agreement(parts: Sequence[ChunkPart], aggregator: AnyAggregator) -> "Agreed":
    """Return the parts of chunks that can be folded into one state, and the entries that cannot.

    No part fails by itself, but an entry may not compare, or add, with the others. Those that come first are right,
    unless fewer entries fail when the largest part is: so one stray entry is left out and not all the others,
    wherever it is in its chunk.

    Raises:
        RefusedError: As for `agreeing`.
    """
    largest = max(range(len(parts)), key=lambda index: parts[index].size)
    found = _around(parts, largest, aggregator)
    if largest:
        other = _around(parts, 0, aggregator, limit=found.size)
        found = found if other.is_cut_short else other
    return found


def _around(parts: Sequence[ChunkPart], right: int, aggregator: AnyAggregator, limit: int | None = None) -> "Agreed":
    """Return what agrees with one of the parts."""
    growing = _Growing(aggregator)
    growing.take(parts[right].outputs, False)
    behind = agreeing(parts[right + 1 :], growing.take, limit=limit)
    before = agreeing(parts[:right][::-1], growing.take, before=True)
    return Agreed(
        [*before.parts[::-1], parts[right], *behind.parts],
        [*before.strays[::-1], *behind.strays],
        [*before.failed[::-1], *behind.failed],
        growing.state,
        is_cut_short=behind.is_cut_short,
    )


@dataclass(slots=True)
class Agreed:
    """The parts that a growing state has taken."""

    parts: list[ChunkPart] = field(default_factory=list)
    #: those that it has not, with what the aggregator raised
    strays: list[tuple[ChunkPart, BaseException]] = field(default_factory=list)
    #: entries that failed by themselves when they were run once more
    failed: list[DeadLetter] = field(default_factory=list)
    #: of the parts that were taken, encoded
    state: bytes = b""
    is_cut_short: bool = False

    @property
    def size(self) -> int:
        """Entries that do not agree."""
        return sum(part.stop - part.first for part, _ in self.strays)

    def sifted(self) -> BisectedChunk:
        """Return the parts, and a letter for each stray. Raises RefusedError when entries must not fail."""
        letters = [part.isolation.stray(part.entries, part.first, part.stop, error) for part, error in self.strays]
        return BisectedChunk(self.parts, [*letters, *self.failed])


def agreeing(parts: Sequence[ChunkPart], take: Take, *, before: bool = False, limit: int | None = None) -> Agreed:
    """Return the parts that a growing state takes, in the order in which it took them.

    Args:
        parts: In the order in which they are to be taken.
        take: Takes outputs into the state.
        before: Each part comes before all that the state holds.
        limit: End when more entries than this do not agree.

    Raises:
        RefusedError: An entry fails by itself when it is run once more, and entries must not fail.
    """
    agreed = Agreed()
    waiting = list(reversed(parts))
    while waiting:
        part = waiting.pop()
        try:
            take(part.outputs, before)
            agreed.parts.append(part)
        except RAISED as error:
            if not part.isolation.can_split(part.first, part.stop):
                agreed.strays.append((part, error))
                agreed.is_cut_short = limit is not None and agreed.size > limit
                if agreed.is_cut_short:
                    return agreed
                continue
            spans = halves(part.first, part.stop)
            for first, stop in spans if before else reversed(spans):
                sifted = part.isolation.sift(part.entries, first, stop)
                waiting += sifted.parts if before else sifted.parts[::-1]
                agreed.failed += sifted.letters
    return agreed


class _Growing:
    """A state that takes entries, or is as it was before."""

    def __init__(self, aggregator: AnyAggregator) -> None:
        # Encoded, a state that is divided leaves files.
        self._aggregator = aggregator.inner if isinstance(aggregator, ShardedAggregator) else aggregator
        self.state = self._aggregator.encode(self._aggregator.create())

    def take(self, outputs: Sequence[Any], before: bool) -> None:
        aggregator, saved = self._aggregator, self._aggregator.decode(self.state)
        if before:
            state = aggregator.merge(aggregator.add_many(aggregator.create(), iter(fresh(outputs))), saved)
        else:
            state = aggregator.add_many(saved, iter(fresh(outputs)))
        self.state = aggregator.encode(state)
