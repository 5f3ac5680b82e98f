"""Result of a run as the source of a flow."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from elastic.aggregators.sharded.frame_result import ShardedFrame
from elastic.aggregators.sharded.mapping_result import ShardedMapping
from elastic.aggregators.sharded.sharded_result import ResultBlocks
from elastic.core.contracts.source import Reader, Source
from elastic.core.encoding import pack, unpack
from elastic.core.errors import SourceError, UsageError
from elastic.core.frames import is_frame
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.core.model.written import Written
from elastic.core.partitioning import shard_range
from elastic.engine.result import Result
from elastic.engine.run import home_at
from elastic.engine.step import Step
from elastic.flow.flow import Flow
from elastic.flow.readers import from_iterable, from_polars, read_csv, read_jsonl, read_parquet, read_text
from elastic.recovery.redrive import result_of
from elastic.run_history import RunHistory
from elastic.stages.sources.files.listing import is_url
from elastic.stages.sources.tables.table_entries import pack_table
from elastic.stages.sources.tables.table_reader import TableReader

#: Readers of written files, by the suffix of their format.
_READERS: dict[str, Callable[..., Flow]] = {
    "jsonl": read_jsonl,
    # The written values may contain line ends.
    "csv": partial(read_csv, newlines_in_values=True),
    "parquet": read_parquet,
    "txt": read_text,
}


def from_run(
    run_id: str, flow: Flow | Step, *, step_number: int = 0, home: "str | os.PathLike[str] | None" = None
) -> Flow:
    """Return a flow over the result of an earlier run.

    Written files are read as their reader does, a sharded result as pairs of key and value or as frames, each by the
    workers. The entries of another result are the items of a mapping, the elements of a list, or the rows of a frame.

    Args:
        run_id: The run, the beginning of its id, or `last`.
        flow: The flow that the run ran; its aggregator reads the result.
        step_number: Number of the step.
        home: Folder of runs; None for that of the environment.

    Raises:
        UnknownRunError: There is no such run.
        UsageError: The run is not complete, has another aggregator, or its result is no collection.
    """
    result = result_of(run_id, flow, step_number=step_number, home=home)
    if not result.state.is_complete:
        raise UsageError(f"run {result.run_id} is not complete; run `elastic resume {result.run_id}` first.")
    if result.written is not None:
        return _of_files(result.run_id, result.written)
    value = result.value
    if isinstance(value, ShardedMapping | ShardedFrame):
        folder = RunHistory(home_at(home)).run_folder(result.run_id)
        return Flow(ShardedResultSource(result, value, folder))
    if is_frame(value):
        return from_polars(value)
    if isinstance(value, Mapping):
        return from_iterable(list(value.items()))
    if isinstance(value, set | frozenset):
        # Their order differs between processes, and a resume needs the same one.
        return from_iterable(sorted(value, key=pack))
    if isinstance(value, list | tuple):
        return from_iterable(list(value))
    raise UsageError(
        f"the result of run {result.run_id} is of type {type(value).__name__}, which has no entries; read it with "
        "elastic.result_of."
    )


def _of_files(run_id: str, written: Written) -> Flow:
    """Return a flow over the files that a run has written, and no others of their folder."""
    suffixes = {_suffix_of(file.name) for file in written}
    if not suffixes:
        return from_iterable([])
    for file, path in zip(written, written.paths, strict=True):
        if "=" in file.name:
            raise UsageError(
                f"run {run_id} has written partitions such as {file.name!r}; read their files by a reader."
            )
        local = Path(path)
        if not is_url(path) and local.is_file() and local.stat().st_size != file.size:
            raise SourceError(f"{path!r} is not the file that run {run_id} has written; start a new run.")
    if len(suffixes) > 1 or not suffixes <= _READERS.keys():
        raise UsageError(f"run {run_id} has written files that no reader knows ({', '.join(sorted(suffixes))}).")
    return _READERS[suffixes.pop()](written.paths)


def _suffix_of(name: str) -> str:
    """Return the suffix of a file's format: before that of a compression, as in `part-00000.jsonl.gz`."""
    return next((part for part in name.rpartition("/")[2].split(".")[1:] if part in _READERS), name)


class ShardedResultReader(Reader):
    """Reader of the buckets of a sharded mapping; a reference is `(shard, bucket)`."""

    def __init__(self, blocks: ResultBlocks[Any], folder: str) -> None:
        self._blocks, self._folder = blocks, folder

    def read_block(self, reference: Reference) -> bytes:
        shard, bucket = reference
        return pack([*self._blocks.block(shard, bucket)])

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        keys, values = unpack(block)
        return list(zip(keys, values, strict=True))

    def locate(self, reference: Reference, index: int) -> str:
        shard, bucket = reference
        return f"key {index} of bucket {bucket} in shard {shard}"

    def probes(self, reference: Reference) -> str | None:
        return self._folder


class ShardedFrameReader(TableReader):
    """Reader of the buckets of a sharded frame; a reference is `(shard, bucket)`."""

    def __init__(self, blocks: ResultBlocks[Any], folder: str) -> None:
        super().__init__()
        self._blocks, self._folder = blocks, folder

    def read_block(self, reference: Reference) -> bytes:
        shard, bucket = reference
        return pack_table(self._blocks.block(shard, bucket).to_arrow())

    def locate(self, reference: Reference, index: int) -> str:
        shard, bucket = reference
        return f"row {index} of bucket {bucket} in shard {shard}"

    def probes(self, reference: Reference) -> str | None:
        return self._folder


class ShardedResultSource(Source):
    """Keys and values of a sharded result, one chunk for each bucket, which a worker reads.

    Args:
        result: Result of the run.
        value: Its value.
        folder: Folder of the run.
    """

    def __init__(self, result: Result, value: "ShardedMapping | ShardedFrame", folder: Path) -> None:
        self._result, self._value, self._folder = result, value, str(folder)

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(number of the bucket, digest of the result)`.

        Raises:
            SourceError: The result differs from that at `position`.
        """
        (first, expected), digest = position or (0, self._value.digest), self._value.digest
        if expected != digest:
            raise SourceError(f"the result of run {self._result.run_id} has changed; start a new run.")
        for number, reference in list(enumerate(self._places()))[first:]:
            yield SourcePiece((number, digest), reference)

    def reader(self) -> Reader:
        kind = ShardedFrameReader if isinstance(self._value, ShardedFrame) else ShardedResultReader
        return kind(self._value.blocks, self._folder)

    def describe(self) -> dict[str, Any]:
        return {"kind": "result", "run": self._result.run_id, "step": self._result.step, "digest": self._value.digest}

    def expected_chunks(self) -> int:
        return len(self._places())

    def _places(self) -> Sequence[tuple[int, int]]:
        shards = self._value.shards
        return [(shard, bucket) for shard in range(shards) for bucket in shard_range(shard, shards)]
