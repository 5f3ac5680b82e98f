"""Sharded aggregation: parts of a step with `shards`, and the merge of its result after the last fold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elastic.aggregators.sharded.sharded_aggregator import Sharded, reduced_of
from elastic.aggregators.sharded.sharded_result import AnyShardedResult
from elastic.aggregators.writing.writing_aggregator import StoredWriter, Writing
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.record_sink import SinkOwner
from elastic.core.contracts.sink import OutputFile
from elastic.core.contracts.spill_store import SpillSegment
from elastic.core.contracts.store import StepRecord
from elastic.core.errors import UsageError
from elastic.core.model.partial import Partial
from elastic.engine.aggregation import Aggregation
from elastic.engine.options import GivenOptions
from elastic.engine.shard_manifest import ShardManifest
from elastic.engine.step import Step
from elastic.engine.writing_aggregation import WritingAggregation
from elastic.persistence.result_files.output_folder import FolderSink
from elastic.persistence.result_files.spill_files import FileSpillStore
from elastic.stages.transport.transport import Transport


class ShardedAggregation(Aggregation):
    """Accumulator of the places of a sharded result's parts; `finalize` merges the parts."""

    def __init__(
        self, aggregator: Sharded, run_id: str, manifest: ShardManifest, output: FolderSink | None = None
    ) -> None:
        super().__init__(aggregator, run_id)
        self._sharded, self._manifest, self._output = aggregator, manifest, output
        self._concluded: AnyShardedResult | None = None

    def open(self) -> None:
        if self._output is not None:
            self._output.prepare()
        self._manifest.spill_store.prepare()

    def value(self) -> Any:
        """Return the result; before `finalize`, one that merges its parts on each read."""
        if self._concluded is None:
            bundles = self._manifest.read(self._jobs())
            self._concluded = None if bundles is None else self._sharded.result_of(bundles)
        return super().value() if self._concluded is None else self._concluded

    def finish(self, *, wanted: bool) -> None:
        # `finalize` makes the result.
        super().finish(wanted=False)

    def fold(self, partial: Partial) -> None:
        self._concluded = None
        super().fold(partial)

    def finalize(self, transport: Transport) -> Iterator[None]:
        aggregator = self._sharded
        jobs = self._jobs()
        found: dict[int, tuple[SpillSegment, OutputFile | None]] = {}
        for answer in transport.reduce(aggregator, jobs):
            if answer is not None:
                number, plain = answer
                found[number] = reduced_of(plain)
            yield
        bundles, parts = zip(*(found[shard] for shard in range(aggregator.shards)), strict=True)
        result = aggregator.result_of(bundles)
        self._manifest.write(jobs, bundles, result.digest)
        if self._output is not None:
            about = {"run_id": self._run_id, "digest": result.digest, "keys": len(result)}
            self._output.publish(parts, about)
        self._concluded = result

    def close(self) -> None:
        super().close()
        self._sharded.spill_store.close()
        if self._output is not None:
            self._output.close()

    def _jobs(self) -> list[bytes]:
        with self._lock:
            return self._sharded.jobs(self._so_far())


def folder_of(run_folder: Path, step: int) -> Path:
    """Return the folder with the parts of a step's result."""
    return run_folder / "shards" / f"step-{step:04}"


def aggregation_of(
    step: Step, run_folder: Path, place: tuple[str, int, int], key: bytes
) -> tuple[AnyAggregator, Aggregation]:
    """Return the aggregator of a step for the workers, and its aggregation on the master.

    Args:
        step: The step.
        run_folder: The folder of the run.
        place: The id of the run, the number of the step, and the epoch of the master.
        key: The run's key.

    Raises:
        UsageError: The aggregator's state cannot be partitioned.
    """
    shards, (run_id, number, epoch) = step.options.shards, place
    if step.sink is not None:
        publication = step.sink.publication(SinkOwner(run_id, number, epoch))
        writing = Writing(publication.writer, step.aggregator)
        return writing, WritingAggregation(writing, run_id, publication)
    if shards is None:
        return step.aggregator, Aggregation(step.aggregator, run_id)
    spill_store, folder = FileSpillStore(folder_of(run_folder, number), epoch), step.options.write_to
    output = None if folder is None else FolderSink(folder, epoch, (run_id, number))
    sharded = Sharded(step.aggregator, shards, spill_store, output)
    return sharded, ShardedAggregation(
        sharded, run_id, ShardManifest(spill_store, shards, (run_id, number), key), output
    )


def stored_aggregation(aggregator: AnyAggregator, record: StepRecord, run_folder: Path, key: bytes) -> Aggregation:
    """Return the aggregation that reads the stored result of a step. Raises as `aggregation_of` does."""
    run_id, shards = run_folder.name, record.manifest.get("shards")
    sink = record.manifest.get("sink")
    if sink is not None:
        return WritingAggregation(Writing(StoredWriter(), aggregator), run_id, None, sink)
    if shards is None:
        return Aggregation(aggregator, run_id)
    spill_store = FileSpillStore(folder_of(run_folder, record.step), 0)
    manifest = ShardManifest(spill_store, shards, (run_id, record.step), key)
    return ShardedAggregation(Sharded(aggregator, shards, spill_store), run_id, manifest)


def with_shards(run_id: str, record: StepRecord, step: Step) -> Step:
    """Return a step with the `shards` and `write_to` with which the run began.

    Raises:
        UsageError: The step was given other ones.
    """
    kept, given = record.manifest.get("shards"), step.options.shards
    if given not in (None, kept):
        how = "without shards" if kept is None else f"with shards={kept}"
        raise UsageError(f"run {run_id} began {how}, which cannot become shards={given}; leave out shards.")
    kept_to, given_to = record.manifest.get("write_to"), step.options.write_to
    if given_to is not None and str(given_to) != kept_to:
        raise UsageError(
            f"run {run_id} began with write_to={kept_to!r}, which cannot become {str(given_to)!r}; leave out write_to."
        )
    missing: GivenOptions = {}
    if given != kept:
        missing["shards"] = kept
    if kept_to is not None:
        missing["write_to"] = kept_to
    return step.with_options(**missing) if missing else step
