"""Backfills as rows: their runs are made a few at a time, once each, and they end with their runs."""

import datetime as dt
from collections.abc import Sequence

import pytest
from db_samples import DAY, new_run

from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.transitions import Backfill, BackfillState, BackfillStep

DAYS = 5
ONE = dt.timedelta(days=1)


def planned(found: Backfill, structure: str | None, source: str | None, count: int) -> BackfillStep:
    assert found.next_date is not None
    first = (found.next_date - DAY).days
    runs = [new_run(day=day, is_served=True) for day in range(first, min(DAYS, first + count))]
    following = DAY + (first + len(runs)) * ONE
    return BackfillStep(runs=runs, next_date=following if following <= found.to_date else None)


def submitted(database: Database) -> Backfill:
    return transitions.submit_backfill(database, "etl", DAY, DAY + (DAYS - 1) * ONE, 2)


def ended(database: Database, states: Sequence[RunState]) -> None:
    for run, state in zip(queries.runs(database, "etl", states=[RunState.QUEUED]), states, strict=True):
        transitions.set_run_state(database, "etl", run.run_id, state)


def only(database: Database) -> Backfill:
    (found,) = transitions.backfills(database)
    return found


def test_runs_are_made_within_the_limit_until_all_dates_have_ended(database: Database) -> None:
    transitions.insert_run(database, new_run(day=1, state=RunState.SUCCESS))
    submitted(database)
    assert transitions.carry_out_backfills(database, planned) == (1, [])
    assert transitions.carry_out_backfills(database, planned, per_turn=1) == (1, [])
    assert (only(database).made, only(database).active) == (2, 2)
    assert transitions.carry_out_backfills(database, planned) == (1, [])
    ended(database, [RunState.SUCCESS] * 2)
    transitions.carry_out_backfills(database, planned)
    assert only(database).next_date is None
    assert only(database).state is BackfillState.RUNNING
    ended(database, [RunState.SUCCESS, RunState.FAILED])
    _, said = transitions.carry_out_backfills(database, planned)
    assert said == [f"backfill {only(database).id} of DAG 'etl' has ended: 1 of its 5 runs failed"]
    assert only(database).state is BackfillState.FAILED
    assert only(database).made == 4
    assert transitions.carry_out_backfills(database, planned) == (0, [])


def test_a_paused_backfill_makes_no_runs_and_a_canceled_one_never_again(database: Database) -> None:
    number = submitted(database).id
    running, paused, canceled = BackfillState.RUNNING, BackfillState.PAUSED, BackfillState.CANCELED
    assert transitions.set_backfill_state(database, number, paused).state is paused
    transitions.carry_out_backfills(database, planned)
    assert queries.runs(database, "etl") == []
    transitions.set_backfill_state(database, number, running)
    transitions.carry_out_backfills(database, planned, dag_ids=["other"])
    assert queries.runs(database, "etl") == []
    transitions.carry_out_backfills(database, planned)
    assert len(queries.runs(database, "etl")) == 2
    assert transitions.set_backfill_state(database, number, canceled).state is canceled
    assert transitions.set_backfill_state(database, number, running).state is canceled
    ended(database, [RunState.SUCCESS] * 2)
    transitions.carry_out_backfills(database, planned)
    assert len(queries.runs(database, "etl")) == 2
    with pytest.raises(UnknownRowError, match="backfills list"):
        transitions.set_backfill_state(database, 10_000, paused)


def test_a_backfill_that_cannot_go_on_fails_with_the_reason(database: Database) -> None:
    submitted(database)
    _, said = transitions.carry_out_backfills(
        database, lambda found, structure, source, count: BackfillStep(next_date=found.next_date, problem="no such DAG")
    )
    assert said[0].endswith("has ended: no such DAG")
    assert only(database).state is BackfillState.FAILED
