"""Verification: proves the result of a run from its stored data."""

import os
from dataclasses import dataclass

from elastic.core.errors import CorruptStoreError, UsageError
from elastic.core.receipts.merkle import SHOWN
from elastic.engine.run import home_at
from elastic.engine.step import Step
from elastic.flow.flow import Flow
from elastic.persistence.run_store.inspection import RunReader
from elastic.recovery.compatibility import check_root_version_unchanged
from elastic.recovery.resume import step_of
from elastic.verification.finding import Finding, Findings, VerifiedStep
from elastic.verification.recompute import Recompute
from elastic.verification.shard_audit import ShardAudit
from elastic.verification.step_audit import StepAudit
from elastic.verification.write_audit import WriteAudit


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Outcome of the verification of a run."""

    run_id: str
    steps: tuple[VerifiedStep, ...]
    #: defects of the run and of its steps; empty if everything is proved
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True if there are no findings."""
        return not self.findings

    def __str__(self) -> str:
        lines = map(str, self.findings if self.findings else self.steps)
        return "\n".join(f"{line}, run {self.run_id}" for line in lines)


def verify(
    run_id: str = "last",
    step: Step | Flow | None = None,
    *,
    step_number: int | None = None,
    recompute: float = 0.0,
    root: str | None = None,
    home: "str | os.PathLike[str] | None" = None,
) -> Verification:
    """Check the stored data of a run: its files, receipts, counts, partial results and dead letters.

    It changes nothing, and runs user functions only with `recompute`.

    Args:
        run_id: The run, the beginning of its id, or `last`.
        step: The flow or step of the run; required only for `recompute`.
        step_number: Number of the step; None for all steps.
        recompute: Share of the chunks, from 0 to 1, to read again from the source and compare. If all chunks of a
            partial result are among them, the functions of `step` recompute it too.
        root: The root that the run printed at its end, or its first 8 or more digits.
        home: Folder of runs; None for that of the environment.

    Raises:
        UnknownRunError: There is no such run.
        UsageError: The run has no such step, or cannot be recomputed.
        SourceError: The source cannot be read, or has changed.
    """
    if not 0 <= recompute <= 1:
        raise UsageError(f"recompute={recompute!r} must be a share from 0 to 1.")
    if recompute and step is None:
        raise UsageError("recompute needs the flow; give it as `step`.")
    folder = home_at(home).find(run_id)
    try:
        store = RunReader.read(folder)
    except CorruptStoreError as error:
        return Verification(run_id=folder.name, steps=(), findings=(Finding(what=str(error)),))
    try:
        given = None if step is None else step_of(step, {})
        return _verified(store, given, step_number, recompute=recompute, root=root)
    finally:
        store.close()


def _verified(
    store: RunReader, given: Step | None, wanted: int | None, *, recompute: float, root: str | None
) -> Verification:
    whole = Findings(None)
    steps: list[VerifiedStep] = []
    findings: list[Finding] = []
    try:
        store.check_pages()
    except CorruptStoreError as error:
        whole.add(str(error))
    for number in _numbers(store, wanted):
        found = Findings(number)
        try:
            audit = StepAudit(store, store.record(number), found)
            verified = audit.run()
            if audit.is_compared and audit.is_sharded:
                ShardAudit(audit).check(None if given is None or not recompute else given.aggregator)
            if audit.is_compared and audit.is_written:
                verified = WriteAudit(audit, None if given is None else given.sink).check(verified)
            if recompute and given is not None and not found.list:
                check_root_version_unchanged(store.run_id, audit.record)
                verified = Recompute(audit, given, recompute).compare(verified)
            steps.append(verified)
        except CorruptStoreError as error:
            found.add(str(error))
        findings += found.list
    if root is not None:
        _check_root(whole, root, steps)
    return Verification(run_id=store.run_id, steps=tuple(steps), findings=(*whole.list, *findings))


def _numbers(store: RunReader, wanted: int | None) -> list[int]:
    numbers = store.numbers()
    if wanted is None:
        if not numbers:
            raise UsageError(f"run {store.run_id} ended before its first step began; there is nothing to verify.")
        return numbers
    if wanted not in numbers:
        raise UsageError(f"run {store.run_id} has no step {wanted}; it has {len(numbers)}, counted from 0.")
    return [wanted]


def _check_root(findings: Findings, root: str, steps: list[VerifiedStep]) -> None:
    wanted = root.strip().lower()
    if len(wanted) < SHOWN // 2 or set(wanted) - set("0123456789abcdef"):
        raise UsageError(f"{root!r} is not a root; expected the {SHOWN} hexadecimal digits that a run prints.")
    known = [each for step in steps for each in (step.root, step.receipts_root) if each]
    if known and not any(each.startswith(wanted) for each in known):
        shown = ", ".join(each[: max(SHOWN, len(wanted))] for each in known[::2])
        findings.add(f"the root is {shown}, not {wanted}: the result has other chunks than it had")
