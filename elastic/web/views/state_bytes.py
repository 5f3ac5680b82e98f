"""Byte codes of the states in the cells of the grid."""

from typing import Any

from elastic.dag.states.state import ATTENTION_ORDER
from elastic.web.views.states import sign_of

#: Cell of a run that has no such task.
ABSENT = 0

#: Byte of each state. Never change the meaning of a byte.
_BYTES = {
    "none": 1,
    "scheduled": 2,
    "queued": 3,
    "running": 4,
    "success": 5,
    "failed": 6,
    "up_for_retry": 7,
    "upstream_failed": 8,
    "skipped": 9,
    "removed": 10,
    "deferred": 11,
    "up_for_reschedule": 12,
}


def byte_of(state: str | None) -> int:
    """Return the byte of a state of a run or of a task instance."""
    return _BYTES.get("none" if state is None else str(state), 1)


def looks() -> list[dict[str, Any]]:
    """Return byte, name, glyph and label of each state for the script of the grid."""
    return [
        {"code": code, "name": name, "glyph": sign_of(name).glyph, "label": sign_of(name).label}
        for name, code in _BYTES.items()
    ]


def attention() -> list[int]:
    """Return the bytes of the states, those that need the most attention first."""
    return [byte_of(state) for state in ATTENTION_ORDER]
