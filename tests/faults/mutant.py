"""Mutants: each lacks one mechanism, and the checks of the campaign must detect it.

They are subclasses of the real parts, and exist only in the tests.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import update

from elastic.core.contracts.store import Commit
from elastic.core.ledger.instructions import Instruction
from elastic.core.ledger.ledger import Ledger
from elastic.core.model.chunk_id_set import ChunkIdSet
from elastic.core.model.partial import Partial
from elastic.dag.operator import BaseOperator
from elastic.db.matching import key_match
from elastic.db.records import AttemptResult
from elastic.db.schema import task_instance
from elastic.db.transitions import attempts as attempt_transition
from elastic.engine.master import Master
from elastic.persistence.run_store.memory_store import MemoryRunStore
from elastic.scheduler.attempts import lease
from elastic.scheduler.attempts.attempt_request import AttemptRequest
from elastic.scheduler.commands import run_task
from elastic.scheduler.deployment import Deployment
from elastic.stages.transport.receiver import MasterReceiver
from tests.faults.disk import SimulatedChunkStore, SimulatedRunStore
from tests.faults.fault_rng import Crash
from tests.faults.master_job import Mutation
from tests.faults.simulated_flow import patched
from tests.faults.simulation import Parts


def _chunks(partial: Partial) -> list[int]:
    return [chunk_id for report in partial.reports for chunk_id in range(report.first, report.stop)]


class ForgivingSpans(ChunkIdSet):
    """A set of ids that accepts an id twice, so that a mutant continues after its error."""

    def add(self, first: int, stop: int) -> None:
        for chunk_id in range(first, stop):
            if chunk_id not in self:
                super().add(chunk_id, chunk_id + 1)


class ForgivingLedger(Ledger):
    """A ledger whose set of folded chunks accepts duplicates."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.folded = ForgivingSpans(self.folded.low, self.folded.above)


class WithoutBitCheck(ForgivingLedger):
    def _counts_twice(self, partial: Partial) -> bool:
        return False


class ByContent(Ledger):
    """Confuses chunks with equal content."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._contents: set[bytes] = set()

    def _fold(self, partial: Partial) -> Iterator[Instruction]:
        contents = {report.columns.content(n) for report in partial.reports for n in range(len(report))}
        if not contents <= self._contents:
            self._contents |= contents
            yield from super()._fold(partial)
            return
        for sent in self._answers(partial):
            self._flight.remove(sent)
        for report in partial.reports:
            self.folded.add(report.first, report.stop)
        self._waiting.discard(lambda chunk: chunk.chunk_id in self.folded)


class ByAttempt(ForgivingLedger):
    """Counts a second attempt as another chunk."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._seen: set[tuple[int, int]] = set()

    def _counts_twice(self, partial: Partial) -> bool:
        keys = [(n, report.columns.attempt) for report in partial.reports for n in range(report.first, report.stop)]
        if not self._seen.isdisjoint(keys):
            return True
        self._seen.update(keys)
        return False


class WithOverlap(ForgivingLedger):
    """Folds a partial if any of its chunks is new."""

    def _counts_twice(self, partial: Partial) -> bool:
        return all(chunk_id in self.folded for chunk_id in _chunks(partial))


class AfterSplit(ForgivingLedger):
    """Identifies results by their span, so that a batch differs from its parts."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._spans: set[tuple[int, int]] = set()

    def _counts_twice(self, partial: Partial) -> bool:
        spans = [(report.first, report.stop) for report in partial.reports]
        if len(set(spans)) < len(spans) or not self._spans.isdisjoint(spans):
            return True
        self._spans.update(spans)
        return False


class WithoutPoison(Ledger):
    """Does not count the entries that failed."""

    def _fold(self, partial: Partial) -> Iterator[Instruction]:
        reports = tuple(replace(report, dead_letters=()) for report in partial.reports)
        yield from super()._fold(replace(partial, reports=reports))


class TwoCommits(SimulatedRunStore):
    """Commits in two transactions, with room for a crash between them."""

    order = ("aggregate", "bitmap")

    def write(self, step: int, commit: Commit) -> None:
        record = self.disk.run.steps()[step]
        halves = {
            "aggregate": Commit(
                record.low, record.bitmap, record.position, record.exhausted, partials=commit.partials,
                counters=record.counters,
            ),
            "bitmap": replace(commit, partials=()),
        }  # fmt: skip
        self.disk.run.commit(step, halves[self.order[0]])
        if self.weather.ends_master("master killed between two transactions", 0.1):
            raise Crash("between")
        if self.order[1] == "bitmap":
            self.disk.run.commit(step, halves["bitmap"])
            return
        kept = self.disk.run.steps()[step]
        at = {"low": kept.low, "bitmap": kept.bitmap, "position": kept.position, "exhausted": kept.exhausted}
        self.disk.run.commit(step, Commit(**at, partials=commit.partials, counters=kept.counters))


class BitmapFirst(TwoCommits):
    order = ("bitmap", "aggregate")


class WithoutEpoch(SimulatedRunStore):
    def is_fenced(self) -> bool:
        return False


class DeletingFirst(Master):
    """Deletes payloads before the commit that covers them."""

    def _commit(self, *, last: bool = False) -> None:
        for partial in self._aggregation._uncommitted:
            self._admission.committed(partial.rows)
        super()._commit(last=last)


class LazyChunkStore(SimulatedChunkStore):
    """Reports chunks as stored before they are synced."""

    def write(self, kept: Any) -> None:
        super().write(kept)
        self._disk.unsynced += kept


class WithoutSync(SimulatedRunStore):
    chunk_store = LazyChunkStore


class Trusting(MasterReceiver):
    """Accepts every state as that of its receipts."""

    def receive(self, partial: Partial) -> Partial:
        rows = tuple(self._row(report, partial.digest) for report in partial.reports)
        return replace(partial, rows=rows)


class WithoutDigest(Master):
    def __init__(self, context: Any, **given: Any) -> None:
        super().__init__(context, **given)
        self._receiver = Trusting(self._signer, self.transport.node_id)


class Unguarded(MemoryRunStore):
    """Accepts duplicates, which the ledger should have dropped."""

    def commit(self, step: int, commit: Commit) -> None:
        fresh = tuple({row.first: row for row in commit.receipts if row.first not in self._receipts[step]}.values())
        letters = {(letter.failure.chunk_id, letter.failure.index): letter for letter in commit.dead_letters}
        known = self._dead_letters[step]
        kept = tuple(letter for key, letter in letters.items() if key not in known)
        super().commit(step, replace(commit, receipts=fresh, dead_letters=kept))


@dataclass(frozen=True, slots=True)
class Mutant:
    """One missing mechanism."""

    name: str
    parts: Parts


SIMULATED = (
    Mutant("no bit check", Parts(ledger=WithoutBitCheck)),
    Mutant("dedup by content hash", Parts(ledger=ByContent)),
    Mutant("dedup by (chunk, attempt)", Parts(ledger=ByAttempt)),
    Mutant("aggregate committed before bitmap", Parts(store=TwoCommits)),
    Mutant("bitmap before aggregate", Parts(store=BitmapFirst)),
    Mutant("no epoch check", Parts(store=WithoutEpoch)),
    Mutant("delete payload before commit", Parts(master=DeletingFirst)),
    Mutant("poison not counted", Parts(ledger=WithoutPoison)),
    Mutant("partial folded with overlap", Parts(ledger=WithOverlap)),
    Mutant("late whole-chunk result accepted after a split", Parts(ledger=AfterSplit)),
    Mutant("digest not checked", Parts(master=WithoutDigest)),
)


def _running_first() -> AbstractContextManager[None]:
    """Run user code before claiming the attempt."""
    record_result = run_task.record_result

    def late(
        deployment: Deployment, task: BaseOperator, request: AttemptRequest, result: AttemptResult
    ) -> AttemptResult | None:
        return record_result(deployment, task, request, result) if lease.claim(deployment, request) else None

    stack = ExitStack()
    stack.enter_context(patched(run_task, "claim", lambda *_: True))
    stack.enter_context(patched(run_task, "record_result", late))
    return stack


def _taking_zombies() -> AbstractContextManager[None]:
    """End instances with the result of any of their attempts."""
    anyhow = update(task_instance).where(key_match(task_instance.c)).values(attempt_transition._FINISH._values)
    return patched(attempt_transition, "_FINISH", anyhow)


@dataclass(frozen=True, slots=True)
class SchedulerMutant:
    """One missing mechanism of schedulers and task processes."""

    name: str
    mutation: Mutation = nullcontext
    by_host_clock: bool = False


SCHEDULED = (
    SchedulerMutant("claim after run", _running_first),
    SchedulerMutant("lease by host clock", by_host_clock=True),
    SchedulerMutant("zombie success accepted", _taking_zombies),
)
