"""Writing aggregation: the parts that workers have written to a sink, and their publication after the last fold."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from elastic.aggregators import Nothing
from elastic.aggregators.writing.writing_aggregator import Writing
from elastic.core.contracts.record_sink import Publication
from elastic.core.contracts.store import StepRecord
from elastic.core.errors import UsageError
from elastic.core.model.partial import Partial
from elastic.core.model.step import StepState
from elastic.core.model.written import Written, WrittenFile
from elastic.engine.aggregation import Aggregation
from elastic.engine.step import Step
from elastic.stages.transport.transport import Transport


class WritingAggregation(Aggregation):
    """Accumulator of the names of written parts, and of the result beside them; `finalize` publishes the parts.

    Args:
        aggregator: Writes the records.
        run_id: The run.
        publication: Master's side of the sink; None for the stored result of a run.
        stored: Description of the sink, for the stored result of a run.
    """

    def __init__(
        self,
        aggregator: Writing,
        run_id: str,
        publication: Publication | None,
        stored: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(aggregator, run_id)
        self._inner, self._publication, self._stored = aggregator.inner, publication, stored
        #: Parts that the run's store has, or that the last commit gives to it.
        self._committed: list[WrittenFile] = []

    def check(self) -> None:
        if self._publication is not None:
            self._publication.check()

    def open(self) -> None:
        self._committed = self._parts()
        if self._publication is not None:
            self._publication.prepare(self._committed)

    def begin(self) -> None:
        if self._publication is not None:
            self._publication.begin(self._committed)

    def take_uncommitted(self) -> list[Partial]:
        self._committed = self._parts()
        return super().take_uncommitted()

    def value(self) -> Any:
        """Return the result of the aggregator beside the writer, or what was written if there is none."""
        value = super().value()
        return self.written if isinstance(self._inner, Nothing) else value

    @property
    def written(self) -> Written:
        if self._publication is not None:
            return self._publication.written(self._parts())
        files = tuple(sorted(self._parts(), key=lambda part: part.name))
        return Written(self._stored.get("url", ""), files, self._stored.get("table", ""))

    def finalize(self, transport: Transport) -> Iterator[None]:
        # A worker that still writes might leave a part after the others are removed.
        transport.close()
        yield
        if self._publication is not None:
            self._publication.publish(self._parts())

    def release(self, outcome: StepState, *, is_durable: bool) -> None:
        if self._publication is not None:
            self._publication.release(outcome, self._committed, keep=is_durable and bool(self._parts()))

    def _parts(self) -> list[WrittenFile]:
        with self._lock:
            return list(self._so_far().parts)


def check_sink(step: Step, source: dict[str, Any], cluster: str) -> None:
    """Check that a step can write to its sink, as far as that is known without looking at it.

    Args:
        step: The step.
        source: Description of its source.
        cluster: The cluster that runs it.

    Raises:
        UsageError: The aggregator or the options do not fit, or the sink overlaps with the source.
    """
    sink = step.sink
    if sink is None:
        return
    if step.options.shards is not None:
        raise UsageError(f"{sink} cannot be combined with shards; write the sharded result by write_to=FOLDER.")
    if not step.aggregator.stored:
        raise UsageError(f"{sink} cannot be combined with {step.aggregator}, whose results are not stored.")
    sink.check_source(source)
    sink.check_cluster(cluster)


def check_sink_unchanged(run_id: str, record: StepRecord, step: Step) -> None:
    """Check that a step writes to the sink with which its run began.

    Raises:
        UsageError: It writes to another one, or in another form.
    """
    before, now = record.manifest.get("sink"), step.manifest()["sink"]
    if before == now:
        return
    if before is None or now is None:
        how = "wrote its records nowhere" if before is None else f"writes to {before.get('url')!r}"
        raise UsageError(f"run {run_id} {how}, and the given flow does not; give the flow that the run began with.")
    name = next(name for name in {**before, **now} if before.get(name) != now.get(name))
    raise UsageError(
        f"run {run_id} began to write with {name}={before.get(name)!r}, and the given flow has {now.get(name)!r}; give "
        "the flow that the run began with, or start a new run."
    )
