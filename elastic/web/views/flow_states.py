"""Signs of the states of steps, chunks and actions: a glyph, words and a CSS class for each."""

from dataclasses import dataclass

from elastic.core.model.step import StepState
from elastic.persistence.stored_run import BUSY, NOT_BEGUN, UNREADABLE
from elastic.run_actions import ActionState
from elastic.run_views.chunk_cells import CellState


@dataclass(frozen=True, slots=True)
class FlowSign:
    """State of a step, a chunk or an action on pages."""

    css: str
    glyph: str
    label: str


_STEPS = {
    StepState.QUEUED: FlowSign("s-queued", "◔", "queued"),
    StepState.IN_PROGRESS: FlowSign("s-running", "▸", "running"),
    StepState.COMPLETE: FlowSign("s-success", "✓", "complete"),
    StepState.COMPLETE_WITH_RETRIES: FlowSign("s-success", "✓", "complete"),
    StepState.ERROR: FlowSign("s-failed", "✕", "failed"),
    StepState.INTERRUPTED: FlowSign("s-up-for-retry", "◼", "stopped"),
    StepState.SUSPENDED: FlowSign("s-deferred", "‖", "suspended"),
    BUSY: FlowSign("s-running", "▸", "busy"),
    UNREADABLE: FlowSign("s-failed", "⚠", "damaged"),
    NOT_BEGUN: FlowSign("s-none", "·", "not begun"),
}

_CELLS = {
    CellState.UNKNOWN: FlowSign("c-0", "·", "to come"),
    CellState.CUT: FlowSign("c-1", "◔", "cut"),
    CellState.SENT: FlowSign("c-2", "▹", "sent"),
    CellState.RECEIVED: FlowSign("c-3", "▹", "received"),
    CellState.PROCESSED: FlowSign("c-4", "▸", "processed"),
    CellState.RETURNED: FlowSign("c-5", "▸", "returned"),
    CellState.AGGREGATED: FlowSign("c-6", "✓", "aggregated"),
    CellState.BAD: FlowSign("c-7", "✕", "bad entries"),
    CellState.RESENT: FlowSign("c-8", "↻", "sent again"),
    CellState.REDRIVEN: FlowSign("c-9", "✓", "redriven"),
    CellState.DAMAGED: FlowSign("c-10", "⚠", "damaged"),
}

_ACTIONS = {
    ActionState.RUNNING: FlowSign("s-running", "▸", "running"),
    ActionState.DONE: FlowSign("s-success", "✓", "done"),
    ActionState.FAILED: FlowSign("s-failed", "✕", "failed"),
    ActionState.DIED: FlowSign("s-failed", "⚠", "process died"),
}


def sign_of_step(state: str) -> FlowSign:
    """Return the sign of the state of a step or of a run."""
    known = {str(name): sign for name, sign in _STEPS.items()}
    return known.get(state, FlowSign("s-none", "?", state[:40]))


def sign_of_cell(value: int) -> FlowSign:
    """Return the sign of a cell of the grid of chunks."""
    return _CELLS[CellState(value)]


def sign_of_action(state: ActionState) -> FlowSign:
    """Return the sign of the state of an action."""
    return _ACTIONS[state]
