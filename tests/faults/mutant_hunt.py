"""The hunt for mutants: the checks must catch each of them."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elastic.persistence.chunk_store import record_format as kept_record
from elastic.persistence.chunk_store import segment_store
from tests.faults.master_job import simulate_schedulers
from tests.faults.mutant import SCHEDULED, SIMULATED, Mutant, SchedulerMutant, Unguarded
from tests.faults.power import can_record, fail_power, first_sync_of_chunks, is_chunk_write
from tests.faults.simulated_flow import patched
from tests.faults.simulation import Parts, play

#: Maximum number of seeds per simulated mutant, and number of further seeds once it is found.
_SEEDS, _MORE = 120, 3
#: Beginnings of problems which only show that a mutant no longer fits the code.
_BROKEN = ("AttributeError", "NameError", "TypeError", "ImportError", "ModuleNotFoundError")
_GUARD = "the run store: a batch or letter committed twice"


@dataclass(frozen=True, slots=True)
class Catch:
    """Findings about a mutant."""

    mutant: str
    layer: str
    caught: bool
    #: findings of the checks, in order
    by: tuple[str, ...] = ()
    #: reason why it was not tried
    skipped: str | None = None


def hunt() -> Iterator[Catch]:
    """Try all mutants."""
    for mutant in SIMULATED:
        yield _simulated(mutant)
    for scheduled in SCHEDULED:
        yield scheduling(scheduled)
    for name, how in ON_DISK.items():
        yield on_disk(name, how)


def _simulated(mutant: Mutant) -> Catch:
    said = _said(mutant.parts)
    if _GUARD in said:
        # The store's own check is the second barrier; does the answer show the error as well?
        said |= _said(replace(mutant.parts, kept=Unguarded))
    return Catch(mutant.name, "A", bool(said), tuple(f"{check} (seed {seed})" for check, seed in said.items()))


def scheduling(mutant: SchedulerMutant) -> Catch:
    """Try a mutant of schedulers and task processes."""
    said: dict[str, int] = {}
    more = _MORE
    for seed in range(_SEEDS):
        for problem in simulate_schedulers(seed, mutant.mutation, by_host_clock=mutant.by_host_clock).problems:
            said.setdefault(check_of(problem), seed)
        more -= bool(said)
        if not more:
            break
    return Catch(mutant.name, "S", bool(said), tuple(f"{check} (seed {seed})" for check, seed in said.items()))


def _said(parts: Parts) -> dict[str, int]:
    """Return the checks that found an error, and the first seed of each."""
    said: dict[str, int] = {}
    more = _MORE
    for seed in range(_SEEDS):
        for problem in play(seed, parts).problems:
            said.setdefault(check_of(problem), seed)
        more -= bool(said)
        if not more:
            break
    return said


def check_of(problem: str) -> str:
    """Return the check that reported a problem.

    Raises:
        AssertionError: No check reported it: the mutant itself is broken.
    """
    assert not problem.startswith(_BROKEN), problem
    checks = {
        "was taken away": "the leases: one was taken away early",
        "of one holds after": "the leases: one was not taken away in time",
        "attempts that succeeded": "the instances: another number of successes than one",
        "value of another attempt": "the values: one of another attempt",
        "an attempt that never ends": "the attempts: one never ends",
        " times": "the processes: an attempt ran twice",
        "entries counted twice": "the answer: entries counted twice",
        "entries lost": "the answer: entries lost",
        "the result counts": "the answer: the number of entries",
        "committed twice": _GUARD,
        "dead letter": "the account: dead letters",
        "counted as failed": "the account: dead letters",
        "neither in the result": "resume: a chunk is neither in the result nor kept",
        "never ends": "the run never ends",
        "that was replaced": "the writers: a replaced master wrote",
        "chunks were said to be kept": "the promises: a chunk that was kept is gone",
        "was said to be kept": "the promises: a commit is gone",
        "which had promised": "the promises: a run is gone",
        "CorruptStoreError": "resume: what is kept is damaged",
        "are left": "the folder: payloads are left",
        "receipts": "the account: receipts and records",
        "folded": "the ledger: chunks folded are not all, each once",
    }
    return next((said for text, said in checks.items() if text in problem), problem[:80])


def _lenient(file: int, offset: int, size: int) -> Any:
    """Read a truncated record as if it were whole."""
    return kept_record.read_header(file, offset, 1 << 60)


def _torn() -> AbstractContextManager[None]:
    return patched(segment_store, "read_header", _lenient)


#: mutants of storage: the failure for each, and the change of the next master
ON_DISK: dict[str, dict[str, Any]] = {
    "no fsync": {"stride": 7, "mutant": "no fsync"},
    "no fsync of the run file": {"stride": 7, "mutant": "no fsync of the run file"},
    "fsync retried": {"stride": 7, "mutant": "fsync retried"},
    "no directory fsync": {"stride": 7, "mutant": "no directory fsync"},
    "torn tail accepted": {"at": is_chunk_write, "times": 12, "resumed_with": _torn},
}


def on_disk(name: str, how: dict[str, Any]) -> Catch:
    """Try a mutant of storage."""
    if (reason := can_record()) is not None:
        return Catch(name, "B", caught=False, skipped=reason)
    with tempfile.TemporaryDirectory() as folder:
        inject = None
        if name == "fsync retried":
            # The system marks pages as written even if it could not write them.
            inject = f"fdatasync:error=EIO:when={first_sync_of_chunks('gone', Path(folder) / 'first')}"
        found = fail_power("gone", Path(folder), inject=inject, **how).problems
    return Catch(name, "B", bool(found), tuple(dict.fromkeys(map(check_of, found)))[:3])
