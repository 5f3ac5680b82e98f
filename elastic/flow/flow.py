"""Flow: a data program, written as a chain of calls. Each call returns a new flow; only `run` runs it."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from elastic.aggregators import Nothing, aggregator_of
from elastic.aggregators.frames.base import FrameAggregator
from elastic.aggregators.frames.sum import FrameSum
from elastic.core.callables import check_class, check_plain
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.record_sink import RecordSink
from elastic.core.contracts.source import Source
from elastic.core.errors import UsageError
from elastic.core.frames import arrow_module, polars_module
from elastic.core.transform import (
    OF_FRAMES,
    Filter,
    FlatMap,
    FrameWords,
    KeyBy,
    Map,
    MapChunks,
    MapFrames,
    MapTables,
    Transform,
    Words,
)
from elastic.engine.flow_defaults import flow_defaults
from elastic.engine.options import GivenOptions, Options
from elastic.engine.result import Result
from elastic.engine.step import AggregatorLike, Step
from elastic.flow.explanation import FlowExplanation, explanation_of
from elastic.flow.preview import (
    RecordSchema,
    checked_count,
    count_records,
    first_records,
    flow_html,
    schema_of,
    table_text,
)
from elastic.persistence.written_files.csv_format import CsvFileFormat
from elastic.persistence.written_files.file_format import FileFormat
from elastic.persistence.written_files.file_sink import FileSink, WriteOptions
from elastic.persistence.written_files.parquet_format import ParquetFormat
from elastic.persistence.written_files.text_formats import JsonLinesFormat, LinesFormat
from elastic.persistence.written_tables.sql_sink import SqlSink
from elastic.stages.sources import ConcatenatedSource
from elastic.stages.sources.derived import LimitedSource, SampledSource
from elastic.stages.worker.frames import as_frame
from elastic.stages.worker.words import word_frame, words

if TYPE_CHECKING:
    from sqlalchemy import URL

#: Aggregators whose entries are frames.
_FRAME_AGGREGATORS = (FrameAggregator, FrameSum)


class Flow:
    """Immutable pipeline of a source, transforms and an aggregator; `elastic.read_text` and other readers make it."""

    __slots__ = ("_aggregator", "_options", "_sink", "_source", "_transforms")

    def __init__(
        self,
        source: Source,
        transforms: tuple[Transform, ...] = (),
        aggregator: AnyAggregator | None = None,
        options: Options | None = None,
        sink: RecordSink | None = None,
    ) -> None:
        if not isinstance(source, Source):
            raise UsageError(f"{source!r} is not a Source; use elastic.from_iterable, or derive from elastic.Source.")
        self._source, self._transforms = source, transforms
        self._aggregator, self._options, self._sink = aggregator, options or Options(), sink

    def map(self, function: Callable[[Any], Any]) -> "Flow":
        """Return a flow in which `function(entry)` replaces each entry.

        A class works as a function too: its objects replace the entries, until you make them plain data again.
        """
        return self._with(Map, function)

    def filter(self, function: Callable[[Any], Any]) -> "Flow":
        """Return a flow with the entries for which `function(entry)` is true."""
        return self._with(Filter, function)

    def flat_map(self, function: Callable[[Any], Iterable[Any]]) -> "Flow":
        """Return a flow in which the elements of `function(entry)` replace each entry."""
        return self._with(FlatMap, function)

    def map_chunks(self, function: Callable[[list[Any]], Iterable[Any]]) -> "Flow":
        """Return a flow in which the elements of `function(entries)` replace the entries of each chunk.

        `function` gets a whole chunk as a list of entries, for work that is faster on many entries at a time.
        """
        return self._with(MapChunks, function)

    def map_frames(self, function: Callable[[Any], Any], *, library: str = "polars") -> "Flow":
        """Return a flow in which the frame `function(frame)` replaces the entries of each chunk.

        Entries that are mappings become columns by key, all others the column `entry`, words the column `word`. Later
        functions see a frame as one entry; aggregators of frames, such as `FrameCount`, take frames as they are.

        Args:
            function: Gets a chunk as a Polars frame and returns a frame, a lazy frame, a series or an Arrow table.
            library: `polars`, or `arrow` for a function that takes an Arrow table.

        Raises:
            UsageError: The library is unknown or not installed.
        """
        if library not in ("polars", "arrow"):
            raise UsageError(f"map_frames(library={library!r}) must be 'polars' or 'arrow'.")
        polars_module()
        if library == "arrow":
            arrow_module()
        return self._of_frames()._with(MapFrames if library == "polars" else MapTables, function)

    def words(self) -> "Flow":
        """Return a flow of the words of each string, as `str.split` finds them.

        Words are strings, or one column `word` if a function or an aggregator of frames follows.
        """
        return self._with(Words, words)

    def key_by(self, function: Callable[[Any], Any]) -> "Flow":
        """Return a flow of pairs `(function(entry), entry)`, the input of `GroupBy`."""
        return self._with(KeyBy, function)

    def limit(self, n: int) -> "Flow":
        """Return a flow of the first `n` entries of the source, in its order.

        Exact on every cluster and after a resume: the master counts the entries, so `n` should be small. After `map`
        and `key_by`, which keep the number of entries, it means the same as before them. An entry that fails counts.

        Raises:
            UsageError: `n` is not a whole number from 0, or a transform before it changes the number of entries: put
                `limit` before that one, or look at the records with `take`.
        """
        checked_count("limit", n)
        return self._of_part("limit", (Map, KeyBy), lambda: LimitedSource(self._source, n))

    def sample(self, fraction: float, *, seed: int = 0) -> "Flow":
        """Return a flow of a random sample of the entries of the source, each with the probability `fraction`.

        The sample depends on the seed and on the chunks of the source alone: it is the same for any number of workers,
        in a look, and after a resume. It may follow `map`, `key_by` and `filter`.

        Raises:
            UsageError: `fraction` is not a number from 0 to 1, `seed` is not an integer, or a transform before it makes
                other entries: put `sample` before that one.
        """
        return self._of_part("sample", (Map, KeyBy, Filter), lambda: SampledSource(self._source, fraction, seed))

    def write_text(self, url: "str | os.PathLike[str]", **files: Unpack[WriteOptions]) -> "Flow":
        """Return a flow that writes its entries, which are strings, to text files, one line each, exactly once.

        The value of the result is a `Written`: it names the files, and counts records and bytes. If `aggregate`
        follows, the value is that of the aggregator, and `result.written` the `Written`.

        Args:
            url: Folder: a local path that all workers see, or a URL, such as `s3://bucket/folder`.
            files: `file_bytes`: bytes at which a file is complete, 128 MiB by default; a file is also complete when
                the master collects results (option `collect_interval`, 30 seconds by default). `compression`: `gzip`
                or `zstd`. `partition_by`: columns whose values name folders `key=value/`, and are left out of the
                files. `ordered`: True: the names of the files sort in the order of the source. `if_exists`: what to do
                with a folder that another run wrote: `error`, `overwrite` (its files are removed when the new ones are
                complete) or `append`. `storage_options` of a remote file system.

        Raises:
            UsageError: An argument is invalid, or the flow aggregates or writes already.
        """
        return self._written(LinesFormat(), url, files)

    def write_jsonl(self, url: "str | os.PathLike[str]", **files: Unpack[WriteOptions]) -> "Flow":
        """Return a flow that writes its entries, which are values of JSON, to JSON lines files. See `write_text`."""
        return self._written(JsonLinesFormat(), url, files)

    def write_csv(
        self,
        url: "str | os.PathLike[str]",
        columns: Sequence[str] | None = None,
        **files: Unpack[WriteOptions],
    ) -> "Flow":
        """Return a flow that writes its entries, which are dicts or frames, to CSV files with a header.

        None becomes an empty value, as in other programs, so it is read as an empty string.

        Args:
            url: Folder.
            columns: Names of the columns in order; other values are left out, and entries may be lists of values. None:
                the keys of the entries, which must all be the same.
            files: As for `write_text`.

        Raises:
            UsageError: As for `write_text`.
        """
        return self._written(CsvFileFormat(columns), url, files)

    def write_parquet(self, url: "str | os.PathLike[str]", schema: Any = None, **files: Unpack[WriteOptions]) -> "Flow":
        """Return a flow that writes its entries, which are dicts or frames, to Parquet files.

        Args:
            url: Folder.
            schema: Schema of Arrow, or dict from column to type: `str`, `int`, `float`, `bool`, `bytes`, `date`,
                `datetime`, a type of Arrow or its name. An entry that does not fit is a failed entry. None: the types
                come from the entries, and the run fails if files would differ in them.
            files: As for `write_text`; `compression` is `zstd` by default, `snappy`, `gzip` or `none`.

        Raises:
            UsageError: As for `write_text`; or pyarrow, the extra `arrow`, is not installed.
        """
        format = ParquetFormat(schema, files.get("compression"))
        return self._written(format, url, {**files, "compression": None})

    def write_sql(
        self,
        url: "str | URL",
        table: "str | tuple[str, ...]",
        key: "str | Sequence[str] | None" = None,
    ) -> "Flow":
        """Return a flow that writes its entries, which are dicts from column to value, to a table, exactly once.

        Without `key`, the rows appear in one transaction at the end of the run. With `key`, workers insert rows and
        replace those with the same key while the run goes on. An entry that does not fit the table is a failed entry.
        The value of the result is a `Written`. Elastic keeps a table `elastic_commit` beside the written one.

        Args:
            url: URL of a SQLite, PostgreSQL, MySQL or MariaDB database, or the id of a connection.
            table: Table that exists, `schema.table`, or a tuple of both for names with a point.
            key: Column or columns of a primary key or a unique index.

        Raises:
            UsageError: An argument is invalid, or the flow aggregates or writes already.
        """
        self._check_writes("write_sql")
        return Flow(self._source, self._transforms, None, self._options, SqlSink(url, table, key))

    def aggregate(self, aggregator: AggregatorLike) -> "Flow":
        """Return a flow that aggregates its entries into one result.

        Args:
            aggregator: An aggregator, its class or name, a function `aggregate(new, previous)`, or None to track
                completion only. A flow without `aggregate` does the same as with None.

        Raises:
            UsageError: The aggregator is invalid, or the flow has one already.
        """
        if self._aggregator is not None:
            raise UsageError(f"the flow already aggregates by {self._aggregator}; a flow has one aggregator.")
        found, flow = aggregator_of(aggregator), Flow(self._source, self._transforms, None, self._options)
        if isinstance(found, _FRAME_AGGREGATORS):
            flow = self._of_frames()
            if not (flow._transforms and isinstance(flow._transforms[-1], OF_FRAMES)):
                flow = flow._with(MapFrames, as_frame)
        return Flow(flow._source, flow._transforms, found, flow._options, self._sink)

    def options(self, **options: Unpack[GivenOptions]) -> "Flow":
        """Return a flow with other options, see `Options`."""
        return Flow(self._source, self._transforms, self._aggregator, self._options.updated(options), self._sink)

    def step(self, **options: Unpack[GivenOptions]) -> Step:
        """Return this flow as a step, for a `StepQueue`."""
        given = self._options.updated(options).with_defaults(flow_defaults())
        if self._sink is not None:
            given = given.for_writing(ordered=self._sink.ordered)
        return Step.of(self._source, self._transforms, self._aggregator or Nothing(), given, self._sink)

    def run(self, **options: Unpack[GivenOptions]) -> Result:
        """Run this flow and return its result.

        Args:
            options: `cluster`, `workers`, `interceptor` and others, see `Options`.

        Raises:
            UsageError: An option is unknown or invalid.
            SourceError: The source is missing or cannot be read.
            ClusterError: The cluster cannot be reached or used.
            StepFailedError: A user function failed; the message names the entry.
        """
        # Here, because a look needs no engine: half of the modules of a flow.
        from elastic.engine.run import run

        return run(self.step(**options))

    def take(self, n: int = 5) -> list[Any]:
        """Return the first `n` records after the transforms, in the order of the source, without a run.

        This process reads only what it needs. A row of a frame is a dict by column. Entries on which a function fails
        are treated as in a run, by `on_error`. The entries of a generator stay in the flow for the run.

        Raises:
            UsageError: `n` is not a whole number from 0, or the flow aggregates.
            EntryError: A function failed; the message names the entry.
            SourceError: The source is missing, cannot be read, or was read by a run that used it up.
        """
        return first_records(self._looked_at("take"), checked_count("take", n))

    def show(self, n: int = 5) -> None:
        """Print the first `n` records as a table, see `take`."""
        records = first_records(self._looked_at("show"), checked_count("show", n))
        sys.stdout.write(table_text(records, sys.stdout.encoding) + "\n")

    def schema(self, n: int = 100) -> RecordSchema:
        """Return the names and types of the fields of the first `n` records, and how many records these are.

        Raises the errors of `take`.
        """
        return schema_of(self._looked_at("schema"), checked_count("schema", n, least=1))

    def count(self, **options: Unpack[GivenOptions]) -> int:
        """Return the number of records of this flow; a frame has as many as it has rows.

        This process counts and leaves no run, unless options say otherwise. Of Parquet files without transforms, it
        reads the footers only, and with conditions also the columns of these.

        Args:
            options: As for `run`; `cluster="local"` counts by the workers of this machine, `persist=True` keeps a run.

        Raises the errors of `run`.
        """
        self._looked_at("count")
        return count_records(self.step(**options))

    def explain(self) -> FlowExplanation:
        """Return what a run would read and do, and where; print it, or read its fields. It reads no data.

        Raises:
            SourceError: The source is missing or cannot be listed.
        """
        return explanation_of(self.step(), None if self._aggregator is None else str(self._aggregator))

    def _of_part(self, verb: str, before: tuple[type[Transform], ...], source: Callable[[], Source]) -> "Flow":
        """Return a flow of a part of the source, which only transforms of the types `before` may precede."""
        if self._aggregator is not None or self._sink is not None:
            raise UsageError(f"{verb} cannot follow {self._aggregator or self._sink}; put it before.")
        other = next((transform for transform in self._transforms if not isinstance(transform, before)), None)
        if other is not None:
            raise UsageError(f"{verb} cannot follow {other}, because it takes entries of the source; put it before.")
        return Flow(source(), self._transforms, None, self._options)

    def _looked_at(self, method: str) -> Step:
        if self._aggregator is not None:
            raise UsageError(
                f"{method} cannot follow aggregate, which makes one result of all records; put it before aggregate, "
                "or run the flow."
            )
        return self.step()

    def _repr_html_(self) -> str:
        """Return the first records as a table, for a notebook."""
        flow = Flow(self._source, self._transforms, None, self._options)
        return flow_html(repr(self), flow.step())

    def _of_frames(self) -> "Flow":
        """Return this flow with its words as a column, if `words` is its last transform."""
        if not (self._transforms and isinstance(self._transforms[-1], Words)):
            return self
        return Flow(self._source, self._transforms[:-1], self._aggregator, self._options)._with(FrameWords, word_frame)

    def _written(self, format: FileFormat, url: "str | os.PathLike[str]", files: WriteOptions) -> "Flow":
        verb = f"write_{format.name}"
        self._check_writes(verb)
        return Flow(self._source, self._transforms, None, self._options, FileSink(url, format, **files))

    def _check_writes(self, verb: str) -> None:
        if self._aggregator is not None:
            raise UsageError(f"{verb} cannot follow aggregate; write flow.{verb}(...).aggregate(...).")
        if self._sink is not None:
            raise UsageError(f"the flow writes already by {self._sink}; a flow writes to one place.")

    def _with(self, kind: type[Transform], function: Callable[..., Any]) -> "Flow":
        if not callable(function):
            raise UsageError(f"{kind.verb}({function!r}): expected a function.")
        if self._aggregator is not None:
            raise UsageError(f"{kind.verb} cannot follow aggregate; put it before aggregate.")
        if self._sink is not None:
            raise UsageError(f"{kind.verb} cannot follow {self._sink}; put it before the write.")
        check_plain(kind.verb, function, generators=kind in (FlatMap, MapChunks))
        if isinstance(function, type):
            _check_class(kind, function)
        return Flow(self._source, (*self._transforms, kind(function)), None, self._options)

    def __add__(self, other: "Flow") -> "Flow":
        """Return a flow over the entries of both flows, see `elastic.concat`."""
        return concat(self, other) if isinstance(other, Flow) else NotImplemented

    def __repr__(self) -> str:
        links = ["source", *map(str, self._transforms)]
        if self._sink is not None:
            links.append(repr(self._sink))
        if self._aggregator is not None:
            links.append(str(self._aggregator))
        return f"Flow({' -> '.join(links)})"


def concat(*flows: Flow) -> Flow:
    """Return a flow over the entries of several flows, one after another.

    The sources may differ. Functions that come before must be the same in all flows, so put those that differ into one
    function that distinguishes the entries. `flow + other` does the same.

    Raises:
        UsageError: The flows cannot be joined: they aggregate, or have different functions or options, or one of them
            can be read only once and another is read by the workers.
    """
    if not flows or not all(isinstance(flow, Flow) for flow in flows):
        raise UsageError("concat takes flows, such as elastic.concat(read_csv('a.csv'), read_csv('b.csv')).")
    first = flows[0]
    for number, flow in enumerate(flows):
        last = flow._aggregator or flow._sink
        if last is not None:
            raise UsageError(f"flow {number} of the concat ends in {last}; join the flows before that.")
        if flow._transforms != first._transforms:
            raise UsageError(
                f"flow 0 of the concat has {_shown(first)} and flow {number} {_shown(flow)}; join the flows before "
                "these functions, and use one function that distinguishes the entries."
            )
        if not _are_equal(flow._options, first._options):
            raise UsageError(
                f"flow 0 and flow {number} of the concat have different options; set them after the concat."
            )
    return Flow(ConcatenatedSource([flow._source for flow in flows]), first._transforms, None, first._options)


def _are_equal(one: Options, other: Options) -> bool:
    # Heartbeats have no equality of their own.
    heartbeats = [(type(options.heartbeat), vars(options.heartbeat)) for options in (one, other)]
    return heartbeats[0] == heartbeats[1] and replace(one, heartbeat=other.heartbeat) == other


def _shown(flow: Flow) -> str:
    return " -> ".join(map(str, flow._transforms)) or "no functions"


def _check_class(kind: type[Transform], given: type) -> None:
    """Check that objects of a class can replace the results of a function.

    Raises:
        UsageError: The objects are functions, are always true (for `filter`), or are not iterable.
    """
    check_class(kind.verb, given)
    if kind is Filter and not any(hasattr(given, name) for name in ("__bool__", "__len__")):
        raise UsageError(f"filter got the class {given.__name__}, whose objects are always true; pass a function.")
    if kind in (FlatMap, MapChunks) and not any(hasattr(given, name) for name in ("__iter__", "__getitem__")):
        raise UsageError(
            f"{kind.verb} got the class {given.__name__}, whose objects are not iterable; pass a function."
        )
