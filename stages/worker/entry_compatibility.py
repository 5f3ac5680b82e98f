"""Find the entries that can be merged: fold the parts of chunks one after another into one growing state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.spilling_aggregator import SpillingAggregator
from elastic.core.errors import StoreError
from elastic.core.model.failure import DeadLetter
from elastic.stages.worker.failure_bisection import RAISED, BisectedChunk, ChunkPart, fresh, halves

#: Adds outputs to a growing state; `True` adds them before all entries of the state. Raises the aggregator's error and
#: then leaves the state unchanged.
AddOutputs = Callable[[Sequence[Any], bool], None]


def fold(parts: Sequence[ChunkPart], aggregator: AnyAggregator) -> tuple[Any, list[DeadLetter]]:
    """Return the state of all compatible entries, and a dead letter for each other entry.

    Raises:
        NotToleratedError: An entry is incompatible, and the error policy does not tolerate that.
        StoreError: A part of the state cannot be spilled.
        Exception: The aggregator fails on all entries together for another reason.
    """
    try:
        return aggregator.add_many(aggregator.create(), iter(BisectedChunk([*parts], []).outputs)), []
    except StoreError:
        raise
    except RAISED:
        found = find_compatible(parts, aggregator) if parts else CompatibleParts()
        bisected = found.bisected()
        if not (aggregator.ordered or isinstance(aggregator, SpillingAggregator) or not parts):
            return aggregator.decode(found.state), bisected.dead_letters
        if not bisected.dead_letters:
            raise
        return aggregator.add_many(aggregator.create(), iter(bisected.outputs)), bisected.dead_letters


def find_compatible(parts: Sequence[ChunkPart], aggregator: AnyAggregator) -> "CompatibleParts":
    """Return the parts of chunks that one state can hold, and the incompatible entries.

    No part fails by itself, but an entry may not compare with the others or add to them. The first part counts as
    correct, unless fewer entries fail when the largest part does. So one bad entry is left out, wherever it is in its
    chunk, and not all the others.

    Raises:
        NotToleratedError: As for `select_compatible`.
    """
    largest = max(range(len(parts)), key=lambda index: parts[index].size)
    found = _compatible_with(parts, largest, aggregator)
    if largest:
        other = _compatible_with(parts, 0, aggregator, limit=found.incompatible_entries)
        found = found if other.exceeds_limit else other
    return found


def _compatible_with(
    parts: Sequence[ChunkPart], correct: int, aggregator: AnyAggregator, limit: int | None = None
) -> "CompatibleParts":
    """Return the parts that are compatible with the part of index `correct`."""
    trial = _TrialState(aggregator)
    trial.add(parts[correct].outputs, False)
    after = select_compatible(parts[correct + 1 :], trial.add, limit=limit)
    before = select_compatible(parts[:correct][::-1], trial.add, before=True)
    return CompatibleParts(
        [*before.parts[::-1], parts[correct], *after.parts],
        [*before.incompatible[::-1], *after.incompatible],
        [*before.dead_letters[::-1], *after.dead_letters],
        trial.state,
        exceeds_limit=after.exceeds_limit,
    )


@dataclass(slots=True)
class CompatibleParts:
    """Parts of chunks that a growing state accepted."""

    parts: list[ChunkPart] = field(default_factory=list)
    #: Single entries that the state did not accept, with the aggregator's errors.
    incompatible: list[tuple[ChunkPart, BaseException]] = field(default_factory=list)
    #: Entries that failed by themselves when they ran once more.
    dead_letters: list[DeadLetter] = field(default_factory=list)
    #: Encoded state of `parts`.
    state: bytes = b""
    #: More entries than allowed are incompatible, so the search stopped early.
    exceeds_limit: bool = False

    @property
    def incompatible_entries(self) -> int:
        """Number of incompatible entries."""
        return sum(part.stop - part.first for part, _ in self.incompatible)

    def bisected(self) -> BisectedChunk:
        """Return the parts, and a dead letter for each entry that is not in them.

        Raises:
            NotToleratedError: An entry is incompatible, and the error policy does not tolerate that.
        """
        letters = [
            part.bisection.dead_letter_of_incompatible(part.entries, part.first, part.stop, error)
            for part, error in self.incompatible
        ]
        return BisectedChunk(self.parts, [*letters, *self.dead_letters])


def select_compatible(
    parts: Sequence[ChunkPart], add: AddOutputs, *, before: bool = False, limit: int | None = None
) -> CompatibleParts:
    """Return the parts that a growing state accepts, in the order in which it accepted them.

    Args:
        parts: Parts in the order in which the state receives them.
        add: Adds outputs to the state.
        before: Each part comes before all entries of the state.
        limit: Stop when more entries than this are incompatible.

    Raises:
        NotToleratedError: An entry fails by itself when it runs once more, and the error policy does not tolerate it.
        StoreError: `add` raised it, which is no fault of an entry. The state is undefined then.
    """
    found = CompatibleParts()
    waiting = list(reversed(parts))
    while waiting:
        part = waiting.pop()
        try:
            add(part.outputs, before)
            found.parts.append(part)
        except StoreError:
            raise
        except RAISED as error:
            if not part.bisection.can_split(part.first, part.stop):
                found.incompatible.append((part, error))
                found.exceeds_limit = limit is not None and found.incompatible_entries > limit
                if found.exceeds_limit:
                    return found
                continue
            spans = halves(part.first, part.stop)
            for first, stop in spans if before else reversed(spans):
                bisected = part.bisection.run(part.entries, first, stop)
                waiting += bisected.parts if before else bisected.parts[::-1]
                found.dead_letters += bisected.dead_letters
    return found


class _TrialState:
    """State that either accepts all entries of an `add` or stays unchanged."""

    def __init__(self, aggregator: AnyAggregator) -> None:
        self._aggregator = aggregator.trial if isinstance(aggregator, SpillingAggregator) else aggregator
        self.state = self._aggregator.encode(self._aggregator.create())

    def add(self, outputs: Sequence[Any], before: bool) -> None:
        aggregator, saved = self._aggregator, self._aggregator.decode(self.state)
        if before:
            state = aggregator.merge(aggregator.add_many(aggregator.create(), iter(fresh(outputs))), saved)
        else:
            state = aggregator.add_many(saved, iter(fresh(outputs)))
        self.state = aggregator.encode(state)
