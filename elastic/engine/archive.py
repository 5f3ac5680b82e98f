"""The archive: what runs have left behind, for reading."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elastic.core.aggregator import AnyAggregator
from elastic.core.errors import ElasticError, ReceiptError, UsageError
from elastic.core.failure import DeadLetter
from elastic.core.journey import Journey, journeys
from elastic.core.merkle import InputTree
from elastic.core.receipt import Seal, decode_token, run_tag, token_run_tag
from elastic.core.spans import Spans
from elastic.core.stage import STAGES, Stage
from elastic.core.step import StepState
from elastic.core.store import ReceiptRow, RunStore, StepRecord
from elastic.engine.result import Result
from elastic.engine.sharding import kept_aggregation
from elastic.persistence.home import Home
from elastic.persistence.sqlite_store import SqliteRunStore


@dataclass(frozen=True, slots=True)
class Archive:
    """Reads runs, also while a master works on them."""

    home: Home

    @classmethod
    def of_environment(cls) -> "Archive":
        """Return the archive at ELASTIC_HOME, or at `~/.elastic`."""
        return cls(Home.of(os.environ))

    @property
    def folder(self) -> Path:
        return self.home.folder

    def runs(self) -> list[str]:
        """Return the ids of all runs, the newest first."""
        return self.home.runs()

    def find(self, name: str) -> str:
        """Return the id of the run that a name stands for; raises UnknownRunError."""
        return self.home.find(name).name

    def run_folder(self, run_id: str) -> Path:
        return self.home.run_folder(run_id)

    def steps(self, run_id: str) -> list[StepRecord]:
        """Return what is kept about the steps of a run."""
        with self._store(run_id) as store:
            return store.steps()

    def record(self, run_id: str, step: int) -> StepRecord:
        """Return what is kept about a step; raises UsageError when the run has none with this number."""
        with self._store(run_id) as store:
            return _record(store, step)

    def account(self, run_id: str, step: int) -> dict[str, Any]:
        """Return plain data: receipts by stage, chunks and entries by node, and spans of missing chunks.

        `missing` are the chunks `[first, stop)` that were sent and are not aggregated.
        """
        with self._store(run_id) as store:
            record = _record(store, step)
            nodes: dict[str, Counter[str]] = {}
            for row in store.receipts(step):
                nodes.setdefault(row.node_id, Counter()).update(chunks=row.count, entries=sum(row.entries))
        return {
            "run_id": run_id,
            "step": step,
            "state": record.state,
            "receipts": {stage.value: record.counters.get(stage, 0) for stage in Stage},
            "nodes": {node: dict(counts) for node, counts in sorted(nodes.items())},
            "missing": list(_gaps(record)),
        }

    def chunk(self, run_id: str, step: int, chunk_id: int) -> list[dict[str, Any]]:
        """Return the receipts of a chunk as plain data, in the order of the stages; they are checked.

        Raises:
            UsageError: The chunk is not aggregated.
            ReceiptError: What is kept was changed.
        """
        for receipts in self.journeys(run_id, step):
            if receipts[0].chunk_id == chunk_id:
                return [
                    {
                        "stage": receipt.stage.value,
                        "node": receipt.node_id,
                        "entries": None if receipt.entries < 0 else receipt.entries,
                        "attempt": receipt.attempt,
                        "receipt": receipt.token,
                    }
                    for receipt in receipts
                ]
        raise UsageError(f"run {run_id} has no aggregated chunk {chunk_id} in step {step}.")

    def journeys(self, run_id: str, step: int) -> Iterator[Journey]:
        """Yield the checked receipts of all aggregated chunks of a step."""
        with self._store(run_id) as store:
            seal = Seal(key=store.key, run_id=run_id, step=step)
            masters = nodes_of_masters(_record(store, step))
            for row in store.receipts(step):
                yield from _journeys(seal, masters, row)

    def letters(self, run_id: str, step: int) -> list[DeadLetter]:
        """Return the dead letters of a step that are not redriven, by ascending chunk id and index."""
        with self._store(run_id) as store:
            _record(store, step)
            return list(store.letters(step))

    def result(self, run_id: str, step: int, aggregator: AnyAggregator) -> Result:
        """Return the result of a step, or what there is of it so far, as it is kept.

        Raises:
            EncodingError: What is kept was made by another aggregator.
            StepFailedError: The aggregator failed.
        """
        with self._store(run_id) as store:
            record = _record(store, step)
            aggregation = kept_aggregation(aggregator, record, self.run_folder(run_id), store.key)
            aggregation.restore(store.partials(step))
            root = _root(store, record)
        counters = {name: count for name, count in record.counters.items() if name not in (*STAGES, "cut", "entries")}
        return Result(
            run_id=run_id,
            step=step,
            name=record.name,
            state=StepState(record.state),
            value=aggregation.value(),
            entries=record.counters.get("entries", 0),
            chunks=len(Spans.of(record.low, record.bitmap)),
            root=root,
            receipts={stage.value: record.counters.get(stage, 0) for stage in STAGES},
            counters={name: count for name, count in counters.items() if count},
            seconds=0.0 if record.ended_at is None else record.ended_at - record.started_at,
            error=None if record.error is None else ElasticError(record.error),
        )

    def decode(self, token: str) -> dict[str, Any]:
        """Return what a receipt says, as plain data, if one of the runs here made it.

        Raises:
            ReceiptError: It is no receipt, was changed, or its run is not here.
        """
        tag = token_run_tag(token)
        for run_id in self.runs():
            if run_tag(run_id) == tag:
                with self._store(run_id) as store:
                    fields = asdict(decode_token(token, key=store.key, run_id=run_id))
                return {"run_id": run_id, **fields, "time": fields["time"].isoformat(), "stage": fields["stage"].value}
        raise ReceiptError(f"no run in {self.folder} made this receipt, or it was changed.")

    @contextmanager
    def _store(self, run_id: str) -> Iterator[RunStore]:
        store = SqliteRunStore.read(self.run_folder(run_id))
        try:
            yield store
        finally:
            store.close()


def _root(store: RunStore, record: StepRecord) -> str:
    """Return the Merkle root over the chunks of a step that is complete, as `Result` has it."""
    if not StepState(record.state).is_complete:
        return ""
    tree = InputTree()
    for row in store.receipts(record.step):
        tree.fold(row)
    return tree.root(record.low).hex()


def nodes_of_masters(record: StepRecord) -> tuple[str, ...]:
    """Return the nodes on which masters of a step ran: one of them stands in the receipts of each chunk."""
    return tuple(dict.fromkeys(str(manifest.get("node", "")) for manifest in (record.manifest, *record.resumed)))


def _journeys(seal: Seal, masters: Sequence[str], row: ReceiptRow) -> list[Journey]:
    """Return the checked receipts of a row, which one of the masters has made.

    Raises:
        ReceiptError: None of them has.
    """
    *others, last = masters
    for master in others:
        with suppress(ReceiptError):
            return list(journeys(seal, master, row))
    return list(journeys(seal, last, row))


def _record(store: RunStore, step: int) -> StepRecord:
    records = {record.step: record for record in store.steps()}
    if step not in records:
        raise UsageError(f"run {store.run_id} has no step {step}; it has {len(records)}, counted from 0.")
    return records[step]


def _gaps(record: StepRecord) -> Iterator[tuple[int, int]]:
    """Yield the spans of chunks that were sent and are not folded."""
    folded = Spans.of(record.low, record.bitmap)
    at, sent = folded.low, record.counters.get(Stage.SENT, 0)
    for first, stop in folded.above:
        yield at, first
        at = stop
    if at < sent:
        yield at, sent
