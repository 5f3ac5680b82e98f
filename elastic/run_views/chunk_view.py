"""View of one chunk: its six receipts, or its last known position."""

import datetime as dt
from dataclasses import dataclass, replace

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import CorruptStoreError, ReceiptError
from elastic.core.model.chunk import UNCOUNTED
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.chunk_location import ChunkLocation
from elastic.core.model.live_view import LiveView
from elastic.core.receipts.receipt import ReceiptSigner
from elastic.core.receipts.receipt_chain import links_of_row, receipts_at
from elastic.core.receipts.stage import STAGES
from elastic.persistence.run_store.inspection import KeptLetter, RunReader
from elastic.run_history import nodes_of_masters

#: Maximum number of dead letters on the page of a chunk.
MAX_LETTERS = 50
_MAX_LETTER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StationView:
    """One of the six stations of a chunk."""

    stage: str
    #: True if the chunk has passed the station
    is_reached: bool
    node: str = ""
    #: number of entries; None before a worker has counted them
    entries: int | None = None
    #: token of the receipt; empty without one
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkView:
    """Receipts, position and dead letters of one chunk."""

    chunk_id: int
    #: time at which it was cut; None without receipts
    cut_at: dt.datetime | None = None
    attempt: int | None = None
    entries: int | None = None
    failed: int = 0
    worker: str = ""
    node: str = ""
    #: number of chunks in the same batch, and the first of them
    batch: int = 0
    batch_first: int = 0
    stations: tuple[StationView, ...] = ()
    #: whether the key of the run verifies the receipts; None without receipts
    is_verified: bool | None = None
    #: True if the chunk is in the result, according to the record of the step
    is_aggregated: bool = False
    #: why the chunk was lost; empty if it was not lost
    lost: str = ""
    #: damage of its stored data, one sentence
    damage: str = ""
    letters: tuple[KeptLetter, ...] = ()


def chunk_view(reader: RunReader, record: StepRecord, live: LiveView | None, chunk_id: int) -> ChunkView:
    """Return the view of a chunk, which must be a chunk of the step."""
    letters = tuple(
        reader.kept_letters(
            record.step,
            after=(chunk_id, -2),
            stop=chunk_id + 1,
            limit=MAX_LETTERS,
            max_bytes=_MAX_LETTER_BYTES,
            redriven=True,
        )
    )
    is_aggregated = chunk_id in ChunkIdSet.of(record.low, record.bitmap)
    try:
        row = reader.receipt_row_of(record.step, chunk_id)
    except CorruptStoreError as error:
        return ChunkView(
            chunk_id=chunk_id, letters=letters, is_aggregated=is_aggregated, damage=str(error), is_verified=False
        )
    if row is None:
        where = _in_flight(reader, record, live, chunk_id)
        damage = (
            "the record of the step counts the chunk as part of the result, but its receipts are missing"
            if is_aggregated
            else ""
        )
        return ChunkView(
            chunk_id=chunk_id,
            attempt=None if where is None else where.attempt,
            entries=None if where is None else where.entries_of(chunk_id, chunk_id + 1),
            worker="" if where is None else where.worker_id or "",
            node="" if where is None else where.node_id,
            lost="" if where is None else where.lost,
            stations=_stations_of(where, record, reached=_cut(record, live) > chunk_id),
            is_aggregated=is_aggregated,
            is_verified=False if is_aggregated else None,
            damage=damage,
            letters=letters,
        )
    index = chunk_id - row.first
    entries = row.columns.entries[index]
    view = ChunkView(
        chunk_id=chunk_id,
        attempt=row.columns.attempt,
        entries=None if entries == UNCOUNTED else entries,
        failed=row.failed[index] if row.failed else 0,
        worker=row.worker_id,
        node=row.node_id,
        batch=row.count,
        batch_first=row.first,
        is_aggregated=is_aggregated,
        letters=letters,
        cut_at=_instant(row.columns.cut_at[index]),
        is_verified=False,
    )
    signer = ReceiptSigner(key=reader.key, run_id=reader.run_id, step=record.step)
    try:
        receipts = receipts_at(signer, links_of_row(signer, nodes_of_masters(record), row), index)
    except ReceiptError as error:
        return replace(view, damage=str(error))
    stations = tuple(
        StationView(
            stage=receipt.stage.value,
            is_reached=True,
            node=receipt.node_id,
            entries=None if receipt.entries == UNCOUNTED else receipt.entries,
            receipt=receipt.token,
        )
        for receipt in receipts
    )
    return replace(view, stations=stations, is_verified=True)


def _in_flight(reader: RunReader, record: StepRecord, live: LiveView | None, chunk_id: int) -> ChunkLocation | None:
    """Return the last position of a chunk in the live view or in the last note of the master."""
    for span in live.spans if live else ():
        if span.first <= chunk_id < span.stop:
            worker = None if span.worker is None or live is None else live.workers[span.worker]
            return ChunkLocation(span.first, span.stop, "", worker, span.stage, span.attempt, ((1, UNCOUNTED),))
    note = reader.noted(record.step)
    known = () if note is None else note.whereabouts
    return next((where for where in known if where.first <= chunk_id < where.stop), None)


def _stations_of(where: ChunkLocation | None, record: StepRecord, *, reached: bool) -> tuple[StationView, ...]:
    names = [stage.value for stage in STAGES]
    last = names.index(where.stage) if where is not None and where.stage in names else (0 if reached else -1)
    master = nodes_of_masters(record)[-1]
    nodes = [master, master, "", "", "", ""] if where is None else [
        master, master, where.node_id, where.worker_id or "", where.node_id, master
    ]  # fmt: skip
    return tuple(
        StationView(stage=name, is_reached=at <= last, node=nodes[at] if at <= last else "")
        for at, name in enumerate(names)
    )


def _cut(record: StepRecord, live: LiveView | None) -> int:
    cut = record.counters.get("cut", 0)
    return max(cut if isinstance(cut, int) else 0, 0 if live is None else live.cut_chunks)


def _instant(microseconds: int) -> dt.datetime | None:
    try:
        return dt.datetime.fromtimestamp(microseconds / 1e6, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
