"""Tries of a task instance: numbers of its attempts, and the parts of its log that they wrote."""

from collections.abc import Sequence
from dataclasses import dataclass

from elastic.db.records import Attempt


@dataclass(frozen=True, slots=True)
class Tries:
    """Tries of a task instance, counted from 1 over all its runs and clears: attempts that started, by time."""

    attempts: Sequence[Attempt]
    #: the one that the page was asked for; 0 for the last one
    number: int

    @classmethod
    def of(cls, attempts: Sequence[Attempt], number: int) -> "Tries":
        """Return the tries among some attempts."""
        return cls([one for one in attempts if one.started_at is not None], number)

    @property
    def chosen(self) -> Attempt | None:
        """Attempt that the page was asked for."""
        return self.attempts[self.number - 1] if 0 < self.number <= len(self.attempts) else None

    def numbers(self) -> dict[str, int]:
        """Return the numbers of the attempts."""
        return {one.attempt_uuid: number for number, one in enumerate(self.attempts, 1)}

    def offset(self, starts: Sequence[int], number: int) -> int | None:
        """Return where the log of a try starts; None if the log does not contain it.

        The last start belongs to the last try: an attempt that died at once left none, and older ones may be deleted.
        """
        place = number - 1 - (self.count(starts) - len(starts))
        return starts[place] if 0 <= place < len(starts) else None

    def count(self, starts: Sequence[int]) -> int:
        """Return the number of tries, of which each has an attempt or a start in the log."""
        return max(len(self.attempts), len(starts))

    def number_at(self, starts: Sequence[int], offset: int) -> int:
        """Return the try whose log contains an offset."""
        before = sum(start <= offset for start in starts)
        return max(1, before + self.count(starts) - len(starts))
