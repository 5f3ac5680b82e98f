"""States on pages: glyph, label and CSS class, so that colour is never the only sign."""

from dataclasses import dataclass

#: Glyph of each state.
_GLYPHS = {
    "none": "·",
    "scheduled": "◷",
    "queued": "◔",
    "running": "▸",
    "deferred": "☾",
    "up_for_reschedule": "☽",
    "success": "✓",
    "failed": "✕",
    "up_for_retry": "↻",
    "upstream_failed": "⤫",  # noqa: RUF001 - meant
    "skipped": "⤼",
    "removed": "∅",
}


@dataclass(frozen=True, slots=True)
class StateSign:
    """State on pages."""

    #: the state; `none` before the first decision
    name: str

    @property
    def glyph(self) -> str:
        """One character."""
        return _GLYPHS.get(self.name, "?")

    @property
    def label(self) -> str:
        """The state in words."""
        return "not decided" if self.name == "none" else self.name.replace("_", " ")

    @property
    def css(self) -> str:
        """Name of the CSS class that sets its colours."""
        return f"s-{self.name.replace('_', '-')}" if self.name in _GLYPHS else "s-none"


def sign_of(state: str | None) -> StateSign:
    """Return the sign of a state of a run or of a task instance."""
    return StateSign(str(state) if state else "none")


def known_states() -> tuple[str, ...]:
    """Return the names of all states that have a sign."""
    return tuple(_GLYPHS)
