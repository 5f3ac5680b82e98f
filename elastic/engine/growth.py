"""Whether a state still grows with what is merged into it."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

#: A state grows while so much of what is merged into it was not there before. Of the Linux kernel's sources, where
#: words stay new to the end, two workers bring four fifths new words at first; of texts that repeat each other, half.
_NEW_SHARE = 0.6


def length_of(state: Any) -> int:
    """Return the number of elements of a state; 0 where it has none to count."""
    # Not of all that has a length: an array of no dimensions says that it has one, and raises.
    return len(state) if isinstance(state, Mapping | Set | Sequence) else 0


class Growth:
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
        return new > 0 and new >= _NEW_SHARE * came
