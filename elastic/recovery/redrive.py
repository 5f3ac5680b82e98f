"""Redrive: runs dead letters again through a repaired flow, and joins what comes of them to the stored result."""

import os
from dataclasses import replace
from typing import Unpack

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import UsageError
from elastic.core.ledger.resume_point import ResumePoint
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.failure import DeadLetter
from elastic.core.policies.error_policy import OnError
from elastic.engine.master import Master
from elastic.engine.options import GivenOptions
from elastic.engine.result import Result
from elastic.engine.run import FlowRun, home_at
from elastic.engine.sharded_aggregation import with_shards
from elastic.engine.step import Step
from elastic.flow.flow import Flow
from elastic.recovery.compatibility import check_aggregator_unchanged, check_root_version_unchanged
from elastic.recovery.dead_letter_source import DeadLetterChunker, LetterSource
from elastic.recovery.resume import counters_of, is_whole, record_of, step_of
from elastic.run_history import RunHistory


def redrive(run_id: str, step: Step | Flow, *, step_number: int = 0, **options: Unpack[GivenOptions]) -> Result:
    """Run the dead letters of a run again, join what comes of them to its result, and return that.

    They become chunks of their own behind those of the source. What fails again stays a dead letter, and so do
    entries of which only a text could be kept. All of it is committed at once: a redrive that is killed has done
    nothing, and one that is done twice counts once.

    Args:
        run_id: The run, the beginning of its id, or `last`.
        step: The flow, or the step, repaired; its source is not read, and its aggregator must be that of the run.
        step_number: Which step of the run.
        options: As for `Flow.run`; without `cluster` it is the one that the run had.

    Raises:
        UnknownRunError: There is no such run.
        RunLockedError: Another process works on it.
        UsageError: The step is not complete, aggregates by something else, or in order.
        ElasticError: As for `Flow.run`.
    """
    given = step_of(step, options)
    run = FlowRun.open(given.options.home, run_id)
    try:
        record = record_of(run, step_number)
        if options.get("cluster") is None and (cluster := record.manifest.get("cluster")) is not None:
            given = given.with_options(cluster=cluster)
        letters = list(run.store.letters(step_number))
        given = with_shards(run.run_id, record, given)
        check_root_version_unchanged(run.run_id, record)
        check_aggregator_unchanged(run.run_id, record, given)
        if not letters:
            return RunHistory(home_at(given.options.home)).result(run.run_id, step_number, given.aggregator)
        exact = [letter for letter in letters if letter.exact]
        if not exact:
            raise UsageError(
                f"the dead letters of run {run.run_id} are entries that are not plain data, of which only a text was "
                "kept; let the source yield numbers, texts, lists or dicts, and run it again."
            )
        return _master(run, record, given, exact).run().check()
    finally:
        run.close()


def dead_letters(
    run_id: str, *, step_number: int = 0, home: "str | os.PathLike[str] | None" = None
) -> list[DeadLetter]:
    """Return the entries of a run that could not be processed and were not redriven, in the order of the source.

    Raises:
        UnknownRunError: There is no such run.
        UsageError: It has no such step.
    """
    archive = RunHistory(home_at(home))
    return archive.letters(archive.find(run_id), step_number)


def result_of(
    run_id: str, step: Step | Flow, *, step_number: int = 0, home: "str | os.PathLike[str] | None" = None
) -> Result:
    """Return the result of a run as it is kept, or what there is of it so far; nothing is run.

    Args:
        run_id: The run, the beginning of its id, or `last`.
        step: The flow, or the step, whose aggregator made the result.
        step_number: Which step of the run.
        home: Where runs are kept; None for where the environment says.

    Raises:
        UnknownRunError: There is no such run.
        UsageError: It has no such step, or aggregates by something else.
        CorruptStoreError: What is kept is damaged.
    """
    given = step_of(step, {})
    archive = RunHistory(home_at(home if home is not None else given.options.home))
    found = archive.find(run_id)
    check_aggregator_unchanged(found, archive.record(found, step_number), given)
    return archive.result(found, step_number, given.aggregator)


def _master(run: FlowRun, record: StepRecord, step: Step, letters: list[DeadLetter]) -> Master:
    if not is_whole(record):
        raise UsageError(
            f"run {run.run_id} is not complete; run `elastic resume {run.run_id}` before its dead letters are redriven."
        )
    if step.aggregator.ordered:
        raise UsageError(
            f"{step.aggregator} depends on the order of entries, and those of dead letters would come last; run the "
            "repaired flow as a new run."
        )
    policy = replace(step.options.error_policy, on_error=OnError.DEAD_LETTER, max_errors=None, max_error_ratio=None)
    options = replace(step.options, error_policy=policy, project=None)
    again = Step.of(LetterSource(step.source), step.transforms, step.aggregator, options)
    counters, entries = counters_of(record, 0), sum(letter.entries for letter in letters)
    # Their entries are counted once more when their new chunks are folded, those that fail again as failed.
    for name in ("entries", "entries_failed"):
        counters[name] = counters.get(name, 0) - entries
    counters["resumes"] = record.counters.get("resumes", 0)
    folded = ChunkIdSet.of(record.low, record.bitmap)
    return run.master(
        record.step,
        again,
        resume_point=ResumePoint(
            next_id=record.low, folded=folded, counters=counters, states=run.store.partials(record.step)
        ),
        chunker=DeadLetterChunker(run.clock, record, letters),
        metadata={"redriven": len(letters)},
    )
