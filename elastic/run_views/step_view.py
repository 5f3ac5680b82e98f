"""View of one step: its figures, stations, workers and losses, from its record and the live view of its master."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import CorruptStoreError
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.chunk_location import Loss
from elastic.core.model.live_view import LiveView
from elastic.core.model.step import StepState
from elastic.core.receipts.stage import STAGES, Stage
from elastic.persistence.run_store.inspection import RunReader, WorkerShare
from elastic.persistence.run_store.live_file import read_live
from elastic.run_views.chunk_cells import chunks_of

#: Maximum age of a live view that shows that the master is alive (seconds).
STALE_SECONDS = 10.0
#: Maximum number of workers and of losses on a page.
MAX_WORKERS, MAX_LOSSES = 50, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSign:
    """Live view of a step, and its age."""

    view: LiveView | None = None
    #: seconds; None without a view
    age: float | None = None
    #: why the file is unreadable, one sentence
    damage: str = ""

    @property
    def is_fresh(self) -> bool:
        return self.age is not None and self.age < STALE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """Figures of a step."""

    record: StepRecord
    sign: LiveSign
    is_running: bool
    #: chunks in the result, and all known chunks
    aggregated: int
    total: int
    #: True if the source may have further chunks
    is_growing: bool
    entries: int
    #: failed entries outside the result, and the dead letters among them that are not redriven
    failed: int
    letters: int
    redriven: int
    #: chunks that were sent again
    resent: int
    resumes: int
    #: number of chunks that reached each stage, in the order of the stages
    stations: tuple[tuple[str, int], ...]
    workers: tuple[WorkerShare, ...]
    more_workers: int
    losses: tuple[Loss, ...]
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    #: seconds from the start to the end, or to the present
    seconds: float
    #: mean rates: over the last seconds of a running step, else over the whole step
    chunks_per_second: float
    entries_per_second: float
    #: estimated remaining seconds at this rate; None if unknown
    seconds_left: float | None

    @property
    def share(self) -> float:
        """Share of the chunks that are in the result, from 0 to 1."""
        return self.aggregated / self.total if self.total else float(self.record.exhausted)

    @property
    def is_complete(self) -> bool:
        return StepState(self.record.state).is_complete

    @property
    def most_chunks(self) -> int:
        """Chunks of the busiest worker."""
        return max((worker.chunks for worker in self.workers), default=0)


def live_sign(reader: RunReader, record: StepRecord, now: float) -> LiveSign:
    """Return the live view of a step with its age; empty for a step that has ended."""
    if record.state != StepState.IN_PROGRESS:
        return LiveSign()
    try:
        view = read_live(reader.folder, reader.key, record.step)
    except CorruptStoreError as error:
        return LiveSign(damage=str(error))
    return LiveSign() if view is None else LiveSign(view=view, age=max(0.0, now - view.noted_at))


def step_view(reader: RunReader, record: StepRecord, sign: LiveSign, now: float) -> StepView:
    """Return the view of a step at the time `now` (seconds since 1970)."""
    live = sign.view
    counters = _counters(record, live)
    snapshot = reader.snapshot(record.step)
    note = reader.noted(record.step)
    aggregated = max(len(ChunkIdSet.of(record.low, record.bitmap)), counters.get(Stage.AGGREGATED.value, 0))
    total = chunks_of(record, live)
    is_running = record.state == StepState.IN_PROGRESS
    seconds = max(0.0, (now if record.ended_at is None else record.ended_at) - record.started_at)
    rates = (0.0, 0.0)
    if is_running and live is not None and sign.is_fresh:
        rates = (live.chunks_per_second, live.entries_per_second)
    elif seconds > 0:
        rates = (aggregated / seconds, counters.get("entries", 0) / seconds)
    is_growing = is_running and not record.exhausted and (live is None or live.expected_chunks is None)
    left = total - aggregated
    shares = sorted(reader.worker_shares(record.step), key=lambda worker: -worker.chunks)
    return StepView(
        record=record,
        sign=sign,
        is_running=is_running,
        aggregated=min(aggregated, total),
        total=total,
        is_growing=is_growing,
        entries=counters.get("entries", 0),
        failed=counters.get("entries_failed", 0),
        letters=max(0, snapshot.letters - snapshot.redriven),
        redriven=snapshot.redriven,
        resent=counters.get("chunks_sent_again", 0),
        resumes=len(record.resumed),
        stations=tuple((stage.value, counters.get(stage.value, 0)) for stage in STAGES),
        workers=tuple(shares[:MAX_WORKERS]),
        more_workers=max(0, len(shares) - MAX_WORKERS),
        losses=_last(() if note is None else note.losses),
        started_at=instant(record.started_at),
        ended_at=None if record.ended_at is None else instant(record.ended_at),
        seconds=seconds,
        chunks_per_second=rates[0],
        entries_per_second=rates[1],
        seconds_left=left / rates[0] if is_running and sign.is_fresh and not is_growing and rates[0] > 0 else None,
    )


def instant(seconds: float) -> dt.datetime | None:
    """Return an instant in UTC, or None if it is out of range."""
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _counters(record: StepRecord, live: LiveView | None) -> dict[str, int]:
    """Return the counters of the last commit, or those of the live view where they are higher."""
    counters = {name: count for name, count in record.counters.items() if isinstance(count, int)}
    for name, count in live.counters.items() if live else ():
        counters[name] = max(count, counters.get(name, 0))
    return counters


def _last(losses: Sequence[Loss]) -> tuple[Loss, ...]:
    return tuple(losses[-MAX_LOSSES:])
