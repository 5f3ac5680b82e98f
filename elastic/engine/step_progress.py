"""Progress of a step from its ledger: as a value, and as notes and live views in the run store."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from elastic.core.clock import Clock
from elastic.core.contracts.store import RunStore
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk_location import InFlightNote
from elastic.core.model.live_view import LiveSpan, LiveView
from elastic.core.model.step import Progress, StepState
from elastic.core.receipts.stage import STAGES, Stage
from elastic.engine.step_context import StepContext

#: Seconds between notes of the chunks in flight.
_NOTE_INTERVAL = 0.5

#: Seconds between live views, and number of views over which rates are averaged.
_LIVE_INTERVAL, _RATE_SAMPLES = 1.0, 10


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


class LiveViews:
    """Publishes a live view of a step once a second while a reader watches the run."""

    def __init__(self, context: StepContext, store: RunStore, ledger: Ledger) -> None:
        self._context, self._store, self._ledger, self._clock = context, store, ledger, context.clock
        self._due = 0.0
        self._is_published = False
        #: samples of the last seconds: time, chunks and entries
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=_RATE_SAMPLES)

    def record(self) -> None:
        """Publish a view if a second has passed and the run is watched."""
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = now + _LIVE_INTERVAL
        self._samples.append((now, self._ledger.reached[Stage.AGGREGATED], self._ledger.counters["entries"]))
        if self._store.is_watched(self._clock.now()):
            self._is_published = True
            self._store.publish(self._context.program.step, self._view())

    def end(self) -> None:
        """Delete the view, because the record of the step is complete."""
        if self._is_published:
            self._store.publish(self._context.program.step, None)

    def _view(self) -> LiveView:
        ledger = self._ledger
        names: dict[str, int] = {}
        for node_id, workers in ledger.workers().items():
            for worker_id in workers:
                names.setdefault(_worker_name(node_id, worker_id), len(names))
        spans = [LiveSpan(first, stop, Stage.AGGREGATED.value, None, 1) for first, stop in _folded(ledger)]
        for where in ledger.whereabouts():
            name = None if where.worker_id is None else _worker_name(where.node_id, where.worker_id)
            worker = None if name is None else names.setdefault(name, len(names))
            spans.append(LiveSpan(where.first, where.stop, where.stage, worker, where.attempt))
        (began, chunks, entries), (now, chunks_now, entries_now) = self._samples[0], self._samples[-1]
        seconds = max(now - began, _LIVE_INTERVAL)
        return LiveView(
            noted_at=self._clock.now(),
            expected_chunks=ledger.next_id if ledger.exhausted else self._context.source.expected_chunks(),
            cut_chunks=ledger.next_id,
            spans=tuple(_disjoint(spans)),
            omitted_spans=0,
            workers=tuple(names),
            counters={**ledger.counters, **{stage.value: ledger.reached[stage] for stage in STAGES}},
            chunks_per_second=(chunks_now - chunks) / seconds,
            entries_per_second=(entries_now - entries) / seconds,
        )


def _worker_name(node_id: str, worker_id: str) -> str:
    """Return a readable name of a worker; its id usually begins with the id of its node."""
    return worker_id if worker_id.startswith(node_id) else f"{node_id}/{worker_id}"


def _folded(ledger: Ledger) -> Iterator[tuple[int, int]]:
    if ledger.folded.low:
        yield 0, ledger.folded.low
    yield from ledger.folded.above


def _disjoint(spans: Iterable[LiveSpan]) -> Iterator[LiveSpan]:
    """Yield disjoint spans by chunk id: speculative copies of a call contain the same chunks."""
    at = 0
    for span in sorted(spans, key=lambda span: (span.first, -span.stop)):
        if span.stop > at:
            yield replace(span, first=max(at, span.first))
            at = span.stop


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
