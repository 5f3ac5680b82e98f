"""Resume: continues a step whose master ended before the step did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack, cast

from elastic.core.contracts.store import StepRecord
from elastic.core.encoding import framer
from elastic.core.errors import CorruptStoreError, UsageError
from elastic.core.interrupts import concise, hold_interrupts
from elastic.core.ledger.resume_point import ResumePoint
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.step import StepState
from elastic.core.policies.error_policy import OnError
from elastic.core.receipts.stage import STAGES, Stage
from elastic.engine.chunker import Chunker
from elastic.engine.master import Master
from elastic.engine.options import GivenOptions
from elastic.engine.result import Result
from elastic.engine.run import FlowRun
from elastic.engine.sharded_aggregation import with_shards
from elastic.engine.step import Step
from elastic.engine.writing_aggregation import check_sink_unchanged
from elastic.flow.flow import Flow
from elastic.recovery.compatibility import (
    check_aggregator_unchanged,
    check_code_unchanged,
    check_entries_unchanged,
    check_root_version_unchanged,
    check_source_unchanged,
)
from elastic.recovery.dead_letter_source import DeadLetterChunker
from elastic.recovery.stored_chunks import StoredChunkReplay, StoredChunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """Step that is ready to continue."""

    master: Master
    #: all chunks with smaller ids are in the result
    at: int
    #: number of chunks that were sent before the last commit and are not in the result
    again: int

    @classmethod
    def of(
        cls, run: FlowRun, number: int, step: Step, *, allow_code_change: bool = False, reread_source: bool = False
    ) -> "Resumption":
        """Prepare to continue a step of a run whose master is this process.

        Raises:
            UsageError: The step is complete, or differs from the one that the run began with.
            SourceError: The source has changed.
            CorruptStoreError: Stored data is missing or damaged.
        """
        record = record_of(run, number)
        if StepState(record.state).is_complete:
            raise _complete(run.run_id, number)
        step = _with_error_policy(record, with_shards(run.run_id, record, step))
        check_sink_unchanged(run.run_id, record, step)
        check_aggregator_unchanged(run.run_id, record, step)
        check_root_version_unchanged(run.run_id, record)
        check_source_unchanged(run.run_id, record, step)
        if not allow_code_change:
            check_code_unchanged(run.run_id, record, step)
        _check_budget(run.run_id, record, step)
        folded = ChunkIdSet.of(record.low, record.bitmap)
        again = max(0, record.counters.get(Stage.SENT, 0) - len(folded))
        chunker, next_id = _chunker(run, record, step, reread=reread_source)
        resume_point = ResumePoint(
            next_id=next_id,
            folded=folded,
            counters=counters_of(record, again),
            states=run.store.partials(number),
        )
        metadata = {name: value for name, value in record.manifest.items() if name in ("target", "folder")}
        master = run.master(number, step, resume_point=resume_point, chunker=chunker, metadata=metadata)
        return cls(master=master, at=record.low, again=again)

    def run(self) -> Result:
        """Run the step until it completes, fails or is interrupted."""
        return self.master.run()

    def __str__(self) -> str:
        return f"resumed at chunk {self.at}: {self.again:,} chunks that were in flight run again"


def resume(
    run_id: str,
    step: Step | Flow,
    *,
    step_number: int | None = None,
    allow_code_change: bool = False,
    reread_source: bool = False,
    **options: Unpack[GivenOptions],
) -> Result:
    """Continue a run whose process ended before the run did, and return its result.

    Chunks in the result stay there. Chunks in flight run again, and count once.

    Args:
        run_id: The run, the beginning of its id, or `last`.
        step: The flow or step that the run began with.
        step_number: Number of the step; None for the first one that is not complete.
        allow_code_change: Resume even if functions differ from those that the run began with.
        reread_source: For a one-shot source that was not read to its end: the given source yields the same entries
            again from its start. Elastic compares those that the run has, and skips them.
        options: As for `Flow.run`; the cluster and the number of workers may differ from those before. Without
            `on_error`, `max_errors` and `max_error_ratio`, those with which the run began count.

    Raises:
        UnknownRunError: There is no such run.
        RunLockedError: Another process works on the run.
        UsageError: The run is complete, or began with another flow or other code.
        SourceError: The source has changed, or cannot continue where the run stopped reading. In the second case the
            stored chunks are in the result, see `result_of`.
        ElasticError: As for `Flow.run`.
    """
    given = step_of(step, options)
    run = FlowRun.open(given.options.home, run_id)
    try:
        number = unfinished_step(run.run_id, run.store.steps(), step_number)
        changes = {"allow_code_change": allow_code_change, "reread_source": reread_source}
        return Resumption.of(run, number, given, **changes).run().check()
    except KeyboardInterrupt as interrupt:
        raise concise(interrupt) from None
    finally:
        with hold_interrupts():
            run.close()


def unfinished_step(run_id: str, records: Sequence[StepRecord], wanted: int | None) -> int:
    """Return the number of the step to continue: `wanted`, or the first that is not complete.

    Raises:
        UsageError: The run has no such step, or all are complete.
    """
    if not records:
        raise UsageError(f"run {run_id} ended before its first step began; start a new run.")
    if wanted is not None:
        if wanted not in [record.step for record in records]:
            raise UsageError(f"run {run_id} has no step {wanted}; it has {len(records)}, counted from 0.")
        return wanted
    unfinished = [record.step for record in records if not StepState(record.state).is_complete]
    if not unfinished:
        raise _complete(run_id, records[-1].step)
    return unfinished[0]


def record_of(run: FlowRun, number: int) -> StepRecord:
    """Return the record of a step.

    Raises:
        UsageError: The run has no step of this number.
    """
    records = run.store.steps()
    unfinished_step(run.run_id, records, number)
    return next(record for record in records if record.step == number)


def step_of(step: Step | Flow, options: GivenOptions) -> Step:
    """Return the step of a step or flow, with other options.

    Raises:
        UsageError: It is neither, or an option is invalid.
    """
    found = step.step() if isinstance(step, Flow) else step
    if not isinstance(found, Step):
        raise UsageError(f"{step!r} is neither a Step nor a Flow.")
    return found.with_options(**options)


def counters_of(record: StepRecord, again: int) -> dict[str, int]:
    """Return the counters with which the next master of a step begins.

    Chunks in flight were lost with the last master, so each stage counts just the chunks in the result.
    """
    counters = {name: count for name, count in record.counters.items() if name != "cut"}
    counters |= dict.fromkeys([stage.value for stage in STAGES], len(ChunkIdSet.of(record.low, record.bitmap)))
    counters["chunks_sent_again"] = counters.get("chunks_sent_again", 0) + again
    # Not the committed counter plus 1: a master may have ended before its first commit.
    counters["resumes"] = len(record.resumed) + 1
    return counters


def is_whole(record: StepRecord) -> bool:
    """Return whether every chunk of a step is in its result, whatever its recorded state."""
    return record.exhausted and not record.bitmap.strip(b"\0") and record.low >= record.counters.get("cut", 0)


def _chunker(run: FlowRun, record: StepRecord, step: Step, *, reread: bool) -> tuple[Chunker, int]:
    """Return the chunker of the chunks that are not in the result, and the id of the first one that it yields."""
    if is_whole(record):
        # Payloads are left over if the master ended right after the last commit.
        run.store.chunks(record.step).clean()
        return DeadLetterChunker(run.clock, record, ()), record.low
    if not record.manifest.get("replayable", True):
        remains = StoredChunks.of(run.store, record)
        frame, project = framer(compressed=step.options.compress), step.options.project
        return StoredChunkReplay(
            step.source, run.clock, remains, project=project, reread=reread, frame=frame
        ), record.low
    if reread:
        raise UsageError(f"run {run.run_id} continues where it stopped reading its source; leave out --reread-source.")
    next_id = record.position[0] if record.position else 0
    if next_id > record.low:
        raise CorruptStoreError(
            f"run {run.run_id}, step {record.step}: the stored position in the source is that of chunk {next_id}, "
            f"but chunk {record.low} is not in the result; start a new run."
        )
    check_entries_unchanged(run.store, record, Chunker(step.source, run.clock, project=step.options.project))
    frame = framer(compressed=step.options.compress)
    return Chunker(step.source, run.clock, project=step.options.project, resume=record.position, frame=frame), next_id


def _with_error_policy(record: StepRecord, step: Step) -> Step:
    """Return a step with the `on_error` and the limits with which the run began, unless it was given others."""
    names = {"on_error", "max_errors", "max_error_ratio"} - step.options.given
    if "on_error" not in names and step.options.error_policy.on_error is OnError.FAIL:
        return step  # which has no limits
    kept = {name: record.manifest[name] for name in names if record.manifest.get(name) is not None}
    return step.with_options(**cast("GivenOptions", kept)) if kept else step


def _check_budget(run_id: str, record: StepRecord, step: Step) -> None:
    failed, entries = record.counters.get("entries_failed", 0), record.counters.get("entries", 0)
    excess = step.options.error_policy.violation(failed, entries)
    if excess is not None and record.state == StepState.ERROR:
        # The error of the run has the excess, and names the last of the entries.
        reason = (record.error or excess).rstrip(".")
        raise UsageError(f"run {run_id} cannot resume: {reason}; give a larger budget, or none.")


def _complete(run_id: str, number: int) -> UsageError:
    return UsageError(
        f"step {number} of run {run_id} is complete; `elastic runs value {run_id} --step {number}` shows its result."
    )
