"""Progress of a step, taken from its ledger: as a value, and as notes in the run store."""

from elastic.core.clock import Clock
from elastic.core.contracts.store import RunStore
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk_location import InFlightNote
from elastic.core.model.step import Progress, StepState
from elastic.core.receipts.stage import Stage
from elastic.engine.step_context import StepContext

#: Seconds between notes of the chunks in flight.
_NOTE_INTERVAL = 0.5


def progress_of(context: StepContext, ledger: Ledger, outcome: StepState, seconds: float) -> Progress:
    """Return the progress of a step `seconds` after its start."""
    return Progress(
        run_id=context.program.run_id,
        step=context.program.step,
        name=context.name,
        state=outcome,
        expected_chunks=ledger.next_id if ledger.exhausted else context.source.expected_chunks(),
        cut_chunks=ledger.next_id,
        distributed_chunks=ledger.reached[Stage.DISTRIBUTED],
        aggregated_chunks=ledger.reached[Stage.AGGREGATED],
        entries=ledger.counters["entries"],
        retries=ledger.counters["chunks_sent_again"],
        counters=unusual(ledger),
        nodes=ledger.workers(),
        seconds=seconds,
    )


def unusual(ledger: Ledger) -> dict[str, int]:
    """Return the counters of unusual events that are not 0."""
    return {name: count for name, count in ledger.counters.items() if name != "entries" and count}


class FlightNotes:
    """Recorder of the places of chunks in flight, so that a report can locate missing ones."""

    def __init__(self, store: RunStore, step: int, ledger: Ledger, clock: Clock) -> None:
        self._store, self._step, self._ledger, self._clock = store, step, ledger, clock
        self._due = 0.0
        if (known := store.noted(step)) is not None:
            ledger.losses.begin(known.losses, known.whereabouts)

    def record(self) -> None:
        """Record the chunks in flight, at most once per interval."""
        now = self._clock.monotonic()
        if now >= self._due:
            self._due = now + _NOTE_INTERVAL
            self._store.note(self._step, self._note())

    def end(self, *, complete: bool) -> None:
        """Record the chunks left in flight at the end of a step, or only the losses of a complete one."""
        note = self._note()
        if complete:
            note = InFlightNote(note.noted_at, (), note.losses)
        self._store.note(self._step, note if note.whereabouts or note.losses else None)

    def _note(self) -> InFlightNote:
        return InFlightNote(self._clock.now(), tuple(self._ledger.whereabouts()), tuple(self._ledger.losses.list))
