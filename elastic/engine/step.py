"""Step: a data program with its options, as a value."""

from collections.abc import Callable, Iterable
from typing import Any, Unpack

from elastic.aggregators import ByType, Nothing, aggregator_of
from elastic.core.callables import check_class, check_plain
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.contracts.record_sink import RecordSink
from elastic.core.contracts.source import Reader, Source
from elastic.core.errors import ElasticError, UsageError
from elastic.core.transform import OF_FRAMES, Task, Transform, Words
from elastic.engine.flow_defaults import flow_defaults
from elastic.engine.options import GivenOptions, Options
from elastic.stages.sources import IterableSource, IterablesSource, Window

#: Forms in which users give an aggregator: an object, its class, its name, a function, or None.
AggregatorLike = AnyAggregator | type[AnyAggregator] | Callable[[Any, Any], Any] | str | None

#: Minimum bytes of a source for each process, and of its chunks on average, to process it in columns by itself. The
#: import of Polars takes as long as counting the words of 16 MiB, and a frame as long as those of 100 KiB.
MIN_LARGE_BYTES, MIN_LARGE_CHUNK_BYTES = 64 << 20, 1 << 20


class Step:
    """Data program with one task, in the style of ElasticFlow.

    The task gets each chunk as a list of entries, and the aggregator takes its results one by one, in the order of the
    chunks. `Flow.step` makes a step of a chain of transforms instead.

    Args:
        source: A `Source` or an iterable. A list whose elements are all iterables, but not strings, tuples or
            mappings, is read as several iterables, one after another, as in ElasticFlow.
        task: Function of a list of entries; the aggregator gets its result.
        aggregator: An aggregator, its class or name, a function `aggregate(new, previous)`, or None to track
            completion only. The default joins results by their type, see `elastic.aggregators.ByType`.
        chunk_size: Entries per chunk.
        window: Function from a chunk's number, counted from 0, to its maximum number of entries.
        options: `interceptor`, `cluster`, `name` and others, see `Options`.

    Raises:
        UsageError: An argument is missing or invalid.
    """

    __slots__ = ("aggregator", "options", "sink", "source", "transforms")

    def __init__(
        self,
        source: Source | Iterable[Any],
        *,
        task: Callable[[list[Any]], Any] | None = None,
        aggregator: AggregatorLike = ByType,
        chunk_size: int | None = None,
        window: Window | None = None,
        **options: Unpack[GivenOptions],
    ) -> None:
        if task is None:
            raise UsageError("the step has no task; give task=<a function of a list of entries>.")
        if not callable(task):
            raise UsageError(f"task={task!r} is not a function; give a function of a list of entries.")
        check_plain("task", task)
        if isinstance(task, type):
            check_class("task", task)
        self.source = source_of(source, chunk_size=chunk_size, window=window)
        self.transforms: tuple[Transform, ...] = (Task(task),)
        self.aggregator = aggregator_of(aggregator)
        #: destination of the entries that the aggregator gets; None if they are not written
        self.sink: RecordSink | None = None
        self.options = Options().updated(options).with_defaults(flow_defaults())

    @classmethod
    def of(
        cls,
        source: Source,
        transforms: tuple[Transform, ...],
        aggregator: AnyAggregator,
        options: Options,
        sink: RecordSink | None = None,
    ) -> "Step":
        """Return a step of parts that were checked before."""
        step = cls.__new__(cls)
        step.sink = sink
        step.source, step.transforms, step.aggregator, step.options = source, transforms, aggregator, options
        return step

    def with_options(self, **options: Unpack[GivenOptions]) -> "Step":
        """Return this step with other options."""
        return Step.of(self.source, self.transforms, self.aggregator, self.options.updated(options), self.sink)

    def reader(self) -> Reader:
        """Return the reader of the source, in columns if the first transform takes those.

        Raises the errors of `Source.reader`.
        """
        reader = self.source.reader()
        first = self.transforms[0] if self.transforms else None
        return reader.columnar() if isinstance(reader, Reader) and isinstance(first, (Words, *OF_FRAMES)) else reader

    def is_large_for(self, processes: int) -> bool:
        """Return whether the source is so large, and its chunks too, that a library of frames saves more than it costs.

        A source that cannot be read is not large; it raises its error later.

        Args:
            processes: Processes that import the library: the master and its workers.
        """
        try:
            size, chunks = self.source.expected_bytes(), self.source.expected_chunks()
        except (ElasticError, OSError):
            return False
        return size is not None and size >= max(processes * MIN_LARGE_BYTES, (chunks or 1) * MIN_LARGE_CHUNK_BYTES)

    @property
    def name(self) -> str:
        """Name of the step: the option `name`, or the name of the last function, of the aggregator or of the sink."""
        if self.options.name is not None:
            return self.options.name
        end = str(self.aggregator)
        if self.sink is not None and isinstance(self.aggregator, Nothing):
            end = self.sink.name
        name = getattr(self.transforms[-1].function, "__name__", "") if self.transforms else end
        # The name of a lambda is not an identifier.
        return name if name.isidentifier() else end

    def manifest(self) -> dict[str, Any]:
        """Return plain data that describes the step."""
        return {
            "source": self.source.describe(),
            "transforms": [str(transform) for transform in self.transforms],
            "aggregator": str(self.aggregator),
            "replayable": self.source.replayable,
            "ordered": self.aggregator.ordered,
            "stored": self.aggregator.stored,
            "shards": self.options.shards,
            "write_to": None if self.options.write_to is None else str(self.options.write_to),
            "sink": None if self.sink is None else self.sink.describe(),
            "on_error": self.options.error_policy.on_error,
            "max_errors": self.options.error_policy.max_errors,
            "max_error_ratio": self.options.error_policy.max_error_ratio,
        }

    def __repr__(self) -> str:
        return f"Step({self.name!r})"


def source_of(value: Any, *, chunk_size: int | None = None, window: Window | None = None) -> Source:
    """Return the source of a source or an iterable.

    Raises:
        UsageError: The value is not iterable, or `chunk_size` or `window` was given with a source.
    """
    given: dict[str, Any] = {} if chunk_size is None else {"chunk_size": chunk_size}
    if window is not None:
        given["window"] = window
    if isinstance(value, Source):
        if given:
            raise UsageError(f"{' and '.join(given)} cannot be given with a Source; set it on the source.")
        return value
    if isinstance(value, list) and value and all(map(_is_several, value)):
        return IterablesSource(value, **given)
    return IterableSource(value, **given)


def _is_several(element: Any) -> bool:
    return isinstance(element, Iterable) and not isinstance(element, str | bytes | bytearray | tuple | dict)
