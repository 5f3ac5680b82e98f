"""Simulated planners that die, stand still and lose answers, and mutants that the simulation must find."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from planner_simulation import simulate

from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.records import DagRun
from elastic.db.sql_clock import now
from elastic.db.transitions import cursors
from tests.faults.simulated_flow import patched


@pytest.mark.parametrize("seed", range(3))
def test_each_due_date_gets_one_run_whatever_dies(seed: int) -> None:
    found = simulate(seed, hours=30)
    assert found.problems == []
    assert found.runs >= 30
    assert {"dies before a commit", "dies after a commit", "loses an answer", "stands still"} <= set(found.faults)


def moving_first() -> AbstractContextManager[None]:
    """Make the runs in a transaction of their own, after the cursors have moved."""
    claim, make_runs = transitions.claim_due, cursors._make_runs

    def claim_due(database: Database, planner: Any, **options: Any) -> int:
        runs: list[DagRun] = []
        with patched(cursors, "_make_runs", lambda _, more: runs.extend(more)):
            count = claim(database, planner, **options)
        database.write(lambda connection, _: make_runs(connection, runs))
        return count

    return patched(transitions, "claim_due", claim_due)


def without_pauses() -> AbstractContextManager[None]:
    """Make the runs of paused DAGs too."""

    def claim_due(database: Database, planner: Any, **_: Any) -> int:
        return cursors._claim_cursors(database, planner, cursors._cursor.next_run_at <= now(), 200)

    return patched(transitions, "claim_due", claim_due)


@pytest.mark.parametrize(
    ("mutation", "ahead", "problem"),
    [
        (moving_first, 0.0, "no run for"),
        (without_pauses, 0.0, "got a run while paused"),
        (nullcontext, 4000.0, "a run was made before"),
    ],
    ids=["cursor before runs", "no pauses", "clock of the host"],
)
def test_a_missing_mechanism_is_found(
    mutation: Callable[[], AbstractContextManager[None]], ahead: float, problem: str
) -> None:
    problems = (simulate(seed, hours=30, ahead=ahead, mutation=mutation).problems for seed in range(8))
    assert any(problem in one for found in problems for one in found)
