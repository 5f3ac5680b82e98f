"""Redrive: runs dead letters through a repaired flow, and merges their results into the stored result."""

import os
from dataclasses import replace
from typing import Unpack

from elastic.core.contracts.store import StepRecord
from elastic.core.errors import UsageError
from elastic.core.interrupts import concise, hold_interrupts
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
from elastic.engine.writing_aggregation import check_sink_unchanged
from elastic.flow.flow import Flow
from elastic.recovery.compatibility import check_aggregator_unchanged, check_root_version_unchanged
from elastic.recovery.dead_letter_source import DeadLetterChunker, DeadLetterSource
from elastic.recovery.resume import counters_of, is_whole, record_of, step_of
from elastic.run_history import RunHistory


def redrive(run_id: str, step: Step | Flow, *, step_number: int = 0, **options: Unpack[GivenOptions]) -> Result:
    """Run the dead letters of a run again, merge them into its result, and return the result.

    They become chunks of their own after those of the source. Entries that fail again stay dead letters, and so do
    entries of which the run could store only the `repr`. The master commits all of them at once: a redrive that is
    killed changes nothing, and a second redrive counts nothing twice.

    Args:
        run_id: The run, the beginning of its id, or `last`.
        step: The repaired flow or step. Its source is not read; its aggregator must be that of the run.
        step_number: Number of the step.
        options: As for `Flow.run`; `cluster` defaults to that of the run.

    Raises:
        UnknownRunError: There is no such run.
        RunLockedError: Another process works on the run.
        UsageError: The step is not complete, has another aggregator, or depends on the order of entries.
        ElasticError: As for `Flow.run`.
    """
    given = step_of(step, options)
    run = FlowRun.open(given.options.home, run_id)
    try:
        record = record_of(run, step_number)
        if options.get("cluster") is None and (cluster := record.manifest.get("cluster")) is not None:
            given = given.with_options(cluster=cluster)
        dead_letters = list(run.store.dead_letters(step_number))
        given = with_shards(run.run_id, record, given)
        check_root_version_unchanged(run.run_id, record)
        check_sink_unchanged(run.run_id, record, given)
        check_aggregator_unchanged(run.run_id, record, given)
        if not dead_letters:
            return RunHistory(home_at(given.options.home)).result(run.run_id, step_number, given.aggregator)
        exact = [letter for letter in dead_letters if letter.exact]
        if not exact:
            raise UsageError(
                f"the dead letters of run {run.run_id} are not plain data, so only their repr was stored; let the "
                "source yield numbers, strings, lists or dicts, and run the flow again."
            )
        return _master(run, record, given, exact).run().check()
    except KeyboardInterrupt as interrupt:
        raise concise(interrupt) from None
    finally:
        with hold_interrupts():
            run.close()


def dead_letters(
    run_id: str, *, step_number: int = 0, home: "str | os.PathLike[str] | None" = None
) -> list[DeadLetter]:
    """Return the failed entries of a run that were not redriven, in the order of the source.

    Raises:
        UnknownRunError: There is no such run.
        UsageError: The run has no such step.
    """
    history = RunHistory(home_at(home))
    return history.dead_letters(history.find(run_id), step_number)


def result_of(
    run_id: str, step: Step | Flow, *, step_number: int = 0, home: "str | os.PathLike[str] | None" = None
) -> Result:
    """Return the stored result of a run, without running anything; that of an unfinished run is partial.

    Args:
        run_id: The run, the beginning of its id, or `last`.
        step: The flow or step whose aggregator made the result.
        step_number: Number of the step.
        home: Folder of runs; None for that of the environment.

    Raises:
        UnknownRunError: There is no such run.
        UsageError: The run has no such step, or has another aggregator.
        CorruptStoreError: The stored result is damaged.
    """
    given = step_of(step, {})
    history = RunHistory(home_at(home if home is not None else given.options.home))
    found = history.find(run_id)
    check_aggregator_unchanged(found, history.record(found, step_number), given)
    return history.result(found, step_number, given.aggregator)


def _master(run: FlowRun, record: StepRecord, step: Step, dead_letters: list[DeadLetter]) -> Master:
    if not is_whole(record):
        raise UsageError(
            f"run {run.run_id} is not complete; run `elastic resume {run.run_id}` before you redrive its dead letters."
        )
    if step.aggregator.ordered:
        raise UsageError(
            f"{step.aggregator} depends on the order of entries, but those of dead letters would come last; run "
            "the repaired flow as a new run."
        )
    if step.sink is not None and step.sink.ordered:
        raise UsageError(
            f"{step.sink} keeps the order of entries, but those of dead letters would come last; run the repaired flow "
            "as a new run."
        )
    policy = replace(step.options.error_policy, on_error=OnError.DEAD_LETTER, max_errors=None, max_error_ratio=None)
    options = replace(step.options, error_policy=policy, project=None)
    again = Step.of(DeadLetterSource(step.source), step.transforms, step.aggregator, options, step.sink)
    counters, entries = counters_of(record, 0), sum(letter.entries for letter in dead_letters)
    # Folding the new chunks counts these entries again, and those that fail again as failed.
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
        chunker=DeadLetterChunker(run.clock, record, dead_letters),
        metadata={"redriven": len(dead_letters)},
    )
