"""The story of chunks: what happened to them, for messages and for people who look into a ledger."""

from collections import deque


class Story:
    """Remembers the last events about chunks."""

    def __init__(self) -> None:
        self._events: deque[tuple[str, int, int, str]] = deque(maxlen=2000)

    def add(self, what: str, first: int, stop: int, detail: str = "") -> None:
        """Remember that something happened to chunks `[first, stop)`."""
        self._events.append((what, first, stop, detail))

    def of(self, first: int, stop: int) -> list[str]:
        """Return what is remembered about chunks `[first, stop)`, oldest first."""
        return [
            f"{what} [{begin}, {end}) {detail}".rstrip()
            for what, begin, end, detail in self._events
            if begin < stop and first < end
        ]
