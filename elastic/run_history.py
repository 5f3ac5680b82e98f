"""Run history: stored runs, their results and their receipts, and the deletion of old runs."""

import datetime as dt
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elastic.aggregators import Nothing
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.store import RunStore, StepRecord
from elastic.core.duration import duration_of
from elastic.core.errors import ElasticError, ReceiptError, UsageError
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.chunk_location import ChunkLocation, InFlightNote
from elastic.core.model.failure import DeadLetter
from elastic.core.model.step import StepState
from elastic.core.receipts.merkle import InputTree
from elastic.core.receipts.receipt import ReceiptSigner, TokenFields, decode_token, run_tag, token_run_tag
from elastic.core.receipts.receipt_chain import ReceiptChain, links_of_row, receipts_at, receipts_of
from elastic.core.receipts.stage import STAGES, Stage
from elastic.engine.result import Result
from elastic.engine.run import home_at
from elastic.engine.sharded_aggregation import stored_aggregation
from elastic.persistence.home import Home
from elastic.persistence.run_retention import PrunedRuns, RetentionPolicy, delete, prune
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from elastic.persistence.stored_run import StoredRun, stored_run


@dataclass(frozen=True, slots=True)
class RunHistory:
    """Reader of the runs in a home folder; a master may be at work on them meanwhile."""

    home: Home

    @classmethod
    def of_environment(cls) -> "RunHistory":
        """Return the history at ELASTIC_HOME, or at `~/.elastic` if that is not set."""
        return cls(Home.of(os.environ))

    @property
    def folder(self) -> Path:
        return self.home.folder

    def runs(self) -> list[str]:
        """Return the ids of all runs, newest first."""
        return self.home.runs()

    def find(self, name: str) -> str:
        """Return the id of the run that a name denotes: an id, the beginning of one, or `last`.

        Raises:
            UnknownRunError: There is no such run, or several ids begin so.
        """
        return self.home.find(name).name

    def run_folder(self, run_id: str) -> Path:
        return self.home.run_folder(run_id)

    def steps(self, run_id: str) -> list[StepRecord]:
        """Return the records of all steps of a run."""
        with self._store(run_id) as store:
            return store.steps()

    def record(self, run_id: str, step: int) -> StepRecord:
        """Return the record of a step.

        Raises:
            UsageError: The run has no step of this number.
        """
        with self._store(run_id) as store:
            return _record(store, step)

    def receipt_counts(self, run_id: str, step: int) -> dict[str, Any]:
        """Return plain data: receipts by stage, chunks and entries by node, missing chunks, and losses.

        `missing` has the chunks `[first, stop)` that were sent and are not aggregated, and `whereabouts` their last
        known places, as the master noted them at `noted_at`. `losses` has the workers and nodes that the run lost.
        """
        with self._store(run_id) as store:
            record, note = _record(store, step), store.noted(step)
            nodes: dict[str, Counter[str]] = {}
            for row in store.receipts(step):
                nodes.setdefault(row.node_id, Counter()).update(chunks=row.count, entries=sum(row.columns.entries))
        return {
            "run_id": run_id,
            "step": step,
            "state": record.state,
            "receipts": {stage.value: record.counters.get(stage, 0) for stage in Stage},
            "nodes": {node: dict(counts) for node, counts in sorted(nodes.items())},
            "missing": list(_gaps(record, note)),
            "whereabouts": [_location_row(first, stop, where) for first, stop, where in _located(record, note)],
            "noted_at": _noted_at(note),
            "losses": [asdict(loss) for loss in ([] if note is None else note.losses)],
        }

    def chunk(self, run_id: str, step: int, chunk_id: int) -> list[dict[str, Any]]:
        """Return the checked receipts of an aggregated chunk as plain data, in the order of the stages.

        The list is empty for a chunk that is not aggregated; `whereabouts` finds that one.

        Raises:
            ReceiptError: A stored receipt was changed.
        """
        with self._store(run_id) as store:
            signer = ReceiptSigner(key=store.key, run_id=run_id, step=step)
            masters = nodes_of_masters(_record(store, step))
            row = store.receipt_row_of(step, chunk_id)
        if row is None:
            return []
        links = links_of_row(signer, masters, row)
        return [
            {
                "stage": receipt.stage.value,
                "node": receipt.node_id,
                "entries": None if receipt.entries < 0 else receipt.entries,
                "attempt": receipt.attempt,
                "receipt": receipt.token,
            }
            for receipt in receipts_at(signer, links, chunk_id - row.first)
        ]

    def whereabouts(self, run_id: str, step: int, chunk_id: int) -> dict[str, Any]:
        """Return the last known place of a chunk that was sent and is not aggregated, as plain data.

        Raises:
            UsageError: No record of the run says that the chunk was sent.
        """
        with self._store(run_id) as store:
            record, note = _record(store, step), store.noted(step)
        for first, stop, where in _located(record, note):
            if first <= chunk_id < stop:
                return {"chunk": chunk_id, **_location_row(chunk_id, chunk_id + 1, where), "noted_at": _noted_at(note)}
        sent = record.counters.get(Stage.SENT, 0)
        raise UsageError(
            f"step {step} of run {run_id} has no chunk {chunk_id}: at its last commit it had sent {sent:,} chunks, "
            "counted from 0."
        )

    def receipts(self, run_id: str, step: int) -> Iterator[ReceiptChain]:
        """Yield the checked receipts of all aggregated chunks of a step."""
        with self._store(run_id) as store:
            signer = ReceiptSigner(key=store.key, run_id=run_id, step=step)
            masters = nodes_of_masters(_record(store, step))
            for row in store.receipts(step):
                yield from receipts_of(signer, links_of_row(signer, masters, row))

    def stations(self, run_id: str, step: int) -> Iterator[dict[str, Any]]:
        """Yield plain data for each chunk by ascending id: the node at each stage that it reached, and its entries.

        Missing chunks come last, with the stages and the node that the last note of the master has.
        """
        for receipts in self.receipts(run_id, step):
            last = receipts[-1]
            yield {
                "chunk": last.chunk_id,
                "entries": last.entries,
                "attempt": last.attempt,
                **{receipt.stage.value: receipt.node_id for receipt in receipts},
            }
        with self._store(run_id) as store:
            record, note = _record(store, step), store.noted(step)
        masters = nodes_of_masters(record)
        for first, stop, where in _located(record, note):
            for chunk_id in range(first, stop):
                yield {"chunk": chunk_id, **_stage_row(chunk_id, where, masters[-1])}

    def dead_letters(self, run_id: str, step: int) -> list[DeadLetter]:
        """Return the dead letters of a step that are not redriven, by ascending chunk id and index."""
        with self._store(run_id) as store:
            _record(store, step)
            return list(store.dead_letters(step))

    def result(self, run_id: str, step: int, aggregator: AnyAggregator) -> Result:
        """Return the stored result of a step; that of an unfinished step covers its committed chunks.

        Raises:
            EncodingError: Another aggregator made the stored states.
            StepFailedError: The aggregator failed.
        """
        with self._store(run_id) as store:
            record = _record(store, step)
            aggregation = stored_aggregation(aggregator, record, self.run_folder(run_id), store.key)
            aggregation.restore(store.partials(step))
            root, note = _root(store, record), store.noted(step)
        counters = {name: count for name, count in record.counters.items() if name not in (*STAGES, "cut", "entries")}
        return Result(
            run_id=run_id,
            step=step,
            name=record.name,
            state=StepState(record.state),
            value=aggregation.value(),
            written=aggregation.written,
            entries=record.counters.get("entries", 0),
            chunks=len(ChunkIdSet.of(record.low, record.bitmap)),
            root=root,
            receipts={stage.value: record.counters.get(stage, 0) for stage in STAGES},
            counters={name: count for name, count in counters.items() if count},
            seconds=record.seconds or 0.0,
            losses=() if note is None else note.losses,
            error=None if record.error is None else ElasticError(record.error),
            outputs_kept=not isinstance(aggregator, Nothing),
        )

    def decode(self, token: str) -> dict[str, Any]:
        """Return the fields of a receipt token as plain data.

        Raises:
            ReceiptError: The token is invalid or was changed, or its run is not stored here.
        """
        run_id, said = self.token(token)
        return {"run_id": run_id, **asdict(said), "time": said.time.isoformat(), "stage": said.stage.value}

    def token(self, token: str) -> tuple[str, TokenFields]:
        """Return the run that made a receipt token, and the token's fields. Raises as `decode` does."""
        tag = token_run_tag(token)
        for run_id in self.runs():
            if run_tag(run_id) == tag:
                with self._store(run_id) as store:
                    return run_id, decode_token(token, key=store.key, run_id=run_id)
        raise ReceiptError(
            f"no run in {self.folder} made this receipt, or it was changed; check ELASTIC_HOME and the token."
        )

    @contextmanager
    def _store(self, run_id: str) -> Iterator[RunStore]:
        store = SqliteRunStore.read(self.run_folder(run_id))
        try:
            yield store
        finally:
            store.close()


def _root(store: RunStore, record: StepRecord) -> str:
    """Return the Merkle root over the chunks of a complete step, as in `Result`; empty for another step."""
    if not StepState(record.state).is_complete:
        return ""
    tree = InputTree()
    for row in store.receipts(record.step):
        tree.fold(row)
    return tree.root(record.low).hex()


def nodes_of_masters(record: StepRecord) -> tuple[str, ...]:
    """Return the nodes of all masters of a step; the receipts of each chunk name one of them."""
    return tuple(dict.fromkeys(str(manifest.get("node", "")) for manifest in (record.manifest, *record.resumed)))


def _record(store: RunStore, step: int) -> StepRecord:
    records = {record.step: record for record in store.steps()}
    if step not in records:
        raise UsageError(f"run {store.run_id} has no step {step}; it has {len(records)}, counted from 0.")
    return records[step]


def _gaps(record: StepRecord, note: InFlightNote | None) -> Iterator[tuple[int, int]]:
    """Yield the spans of chunks that the last commit or the last note has as sent, and that are not folded."""
    folded = ChunkIdSet.of(record.low, record.bitmap)
    at = folded.low
    sent = max([record.counters.get(Stage.SENT, 0), *(where.stop for where in (note.whereabouts if note else ()))])
    for first, stop in folded.above:
        yield at, first
        at = stop
    if at < sent:
        yield at, sent


def _located(record: StepRecord, note: InFlightNote | None) -> Iterator[tuple[int, int, ChunkLocation | None]]:
    """Yield the spans of missing chunks with their last known place; None where the last note has none."""
    known = () if note is None else note.whereabouts
    for first, stop in _gaps(record, note):
        at = first
        for where in known:
            begin, end = max(at, where.first), min(stop, where.stop)
            if begin < end:
                if at < begin:
                    yield at, begin, None
                yield begin, end, where
                at = end
        if at < stop:
            yield at, stop, None


def _location_row(first: int, stop: int, where: ChunkLocation | None) -> dict[str, Any]:
    """Return the last known place of chunks `[first, stop)` as plain data."""
    return {
        "first": first,
        "stop": stop,
        "node": None if where is None else where.node_id,
        "worker": None if where is None else where.worker_id,
        "stage": None if where is None else where.stage,
        "attempt": None if where is None else where.attempt,
        "entries": None if where is None else where.entries_of(first, stop),
        "lost": None if where is None else where.lost,
    }


def _stage_row(chunk_id: int, where: ChunkLocation | None, master: str) -> dict[str, Any]:
    """Return the node at each stage of a missing chunk; None for stages without a record."""
    stages: dict[str, str | None] = dict.fromkeys(stage.value for stage in STAGES)
    if where is None:
        return {"entries": None, "attempt": None, **stages}
    stages |= {Stage.DISTRIBUTED.value: master, Stage.SENT.value: master}
    if where.stage == Stage.PROCESSED:
        stages |= {Stage.RECEIVED.value: where.node_id, Stage.PROCESSED.value: where.worker_id}
    return {"entries": where.entries_of(chunk_id, chunk_id + 1), "attempt": where.attempt, **stages}


def _noted_at(note: InFlightNote | None) -> str | None:
    return None if note is None else dt.datetime.fromtimestamp(note.noted_at, dt.UTC).isoformat(timespec="milliseconds")


def runs(*, limit: int | None = None, home: "str | os.PathLike[str] | None" = None) -> list[StoredRun]:
    """Return all stored runs, newest first; `RunHistory` reads their receipts and results.

    Args:
        limit: Maximum number of runs; None for all.
        home: Folder of runs; None for that of the environment.

    Raises:
        UsageError: `limit` is not a whole number from 0.
        StoreError: The folder of runs cannot be read.
    """
    if limit is not None and (type(limit) is not int or limit < 0):
        raise UsageError(f"limit={limit!r} must be a whole number from 0, or left out.")
    where = home_at(home)
    return [stored_run(where, run_id) for run_id in where.runs()[:limit]]


def prune_runs(
    *,
    keep: str | dt.timedelta | None = None,
    keep_last: int | None = None,
    dry_run: bool = False,
    home: "str | os.PathLike[str] | None" = None,
) -> PrunedRuns:
    """Delete old complete runs with all their files.

    Runs that can be resumed, that a process works on, or that hold dead letters stay. `delete_runs` deletes those.

    Args:
        keep: Age since its end below which a run stays: a string such as `30d`, or a timedelta.
        keep_last: Number of newest runs that stay.
        dry_run: Only report what would be deleted.
        home: Folder of runs; None for that of the environment.

    Raises:
        UsageError: Neither `keep` nor `keep_last` is given, or one of them is invalid.
        StoreError: The folder of runs cannot be read, or a run cannot be removed.
    """
    age = None if keep is None else duration_of("keep", keep)
    policy = RetentionPolicy(keep=age, keep_last=keep_last)
    return prune(home_at(home), policy, now=dt.datetime.now(dt.UTC), dry_run=dry_run)


def delete_runs(*names: str, force: bool = False, home: "str | os.PathLike[str] | None" = None) -> list[StoredRun]:
    """Delete runs with all their files, and return what they were; or delete none if one of them stays.

    Args:
        names: Ids of runs, beginnings of ids, or `last`.
        force: Delete runs that can be resumed, hold dead letters or cannot be read as well.
        home: Folder of runs; None for that of the environment.

    Raises:
        UnknownRunError: There is no such run.
        UsageError: No name is given, a name is ambiguous, or a run stays without `force`.
        RunLockedError: A process works on a run.
        StoreError: A run cannot be removed.
    """
    if not names:
        raise UsageError("no run is named; give the id of a run, the beginning of its id, or `last`.")
    where = home_at(home)
    return delete(where, [where.find(name).name for name in names], force=force)
