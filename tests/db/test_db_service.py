"""Claims of the scheduler service: due cursors, and runs with their masters."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from db_samples import database_time, made_run, new_instance, new_run
from sqlalchemy import select, update

from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import RunType
from elastic.db.schema import dag_cursor, dag_version, run_callback, run_claim
from elastic.db.sql_clock import now
from elastic.db.stores.dags import DagRow, dags, set_paused, store_dag
from elastic.db.transitions import CursorMove, CursorRow

LONG_AGO = dt.datetime(2016, 2, 22, tzinfo=dt.UTC)


def stored(database: Database, *dag_ids: str, digest: str = "s1") -> None:
    for dag_id in dag_ids:
        row = DagRow(dag_id=dag_id, fileloc=f"/dags/{dag_id}.py", structure_digest=digest)
        store_dag(database, row, structure="{}")


def daily(row: CursorRow, time: dt.datetime) -> CursorMove:
    """Plan one run a turn, for the days from LONG_AGO on."""
    date = row.next_logical_date or LONG_AGO
    run = new_run(row.dag_id, (date - LONG_AGO).days, run_id=f"scheduled_{date:%Y%m%d}", run_type=RunType.SCHEDULED)
    after = date + dt.timedelta(days=1)
    return CursorMove(
        runs=[run], next_logical_date=after, next_run_at=after + dt.timedelta(days=1), last_logical_date=date
    )


def placed(row: CursorRow, time: dt.datetime) -> CursorMove:
    return CursorMove(
        next_logical_date=LONG_AGO, next_run_at=LONG_AGO, structure_digest=row.structure_digest, max_active_runs=2
    )


def cursor(database: Database, dag_id: str) -> Any:
    query = select(dag_cursor).where(dag_cursor.c.dag_id == dag_id)
    return database.query(lambda connection: connection.execute(query).one())


def served(database: Database, dag_id: str, days: int) -> None:
    """Make due runs of some days."""
    transitions.move_changed(database, placed)
    for _ in range(days):
        assert transitions.claim_due(database, daily) >= 1


def claims(database: Database) -> list[Any]:
    return database.query(lambda connection: list(connection.execute(select(run_claim).order_by(run_claim.c.run_id))))


def lapse(database: Database) -> None:
    """Let the leases of all masters run out."""
    with database.begin() as connection:
        connection.execute(update(run_claim).values(lease_expires_at=now(-1.0)))


def test_a_due_dag_gets_its_run_its_claim_and_its_next_date_at_once(database: Database) -> None:
    stored(database, "etl")
    assert transitions.claim_due(database, daily) == 0
    assert transitions.move_changed(database, placed) == 1
    assert transitions.move_changed(database, placed) == 0
    assert transitions.claim_due(database, daily) == 1
    (run,) = queries.runs(database, "etl")
    assert (run.run_id, run.state, run.run_type, run.is_served) == (
        "scheduled_20160222",
        RunState.QUEUED,
        RunType.SCHEDULED,
        True,
    )
    (claim,) = claims(database)
    assert (claim.dag_id, claim.run_id, claim.owner, claim.epoch) == ("etl", run.run_id, None, 0)
    assert cursor(database, "etl").last_logical_date == LONG_AGO


def test_a_failure_while_runs_are_made_leaves_the_cursor_where_it_was(database: Database) -> None:
    stored(database, "etl")
    transitions.move_changed(database, placed)

    def fail(row: CursorRow, time: dt.datetime) -> CursorMove:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transitions.claim_due(database, fail)
    assert cursor(database, "etl").next_logical_date == LONG_AGO
    assert transitions.claim_due(database, daily) == 1


def test_the_same_date_planned_again_makes_no_second_run_and_no_second_claim(database: Database) -> None:
    stored(database, "etl")
    served(database, "etl", 1)
    (taken,) = transitions.take_runs(database, "m1", 60)
    with database.begin() as connection:
        connection.execute(update(dag_cursor).values(next_logical_date=LONG_AGO, next_run_at=LONG_AGO))
    assert transitions.claim_due(database, daily) == 1
    assert len(queries.runs(database, "etl")) == 1
    assert [one.owner for one in claims(database)] == ["m1"]
    assert transitions.end_claimed_run(database, taken, RunState.SUCCESS)


def test_a_date_that_a_command_began_is_adopted_unless_a_backfill_runs_it(database: Database) -> None:
    stored(database, "etl")
    transitions.ensure_run(database, new_run("etl", 0, run_id="by_hand"))
    transitions.ensure_run(database, new_run("etl", 1, run_id="backfill_1", run_type=RunType.BACKFILL))
    served(database, "etl", 2)
    assert [one.run_id for one in queries.runs(database, "etl")] == ["by_hand", "backfill_1"]
    assert [one.run_id for one in claims(database)] == ["by_hand"]


def test_a_paused_dag_and_a_dag_without_a_file_are_not_due(database: Database) -> None:
    stored(database, "etl", "gone")
    transitions.move_changed(database, placed)
    set_paused(database, "etl", paused=True)
    assert {row.dag_id: row.is_paused for row in dags(database)} == {"etl": True, "gone": False}
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE dag SET is_active = false WHERE dag_id = 'gone'")
    assert transitions.claim_due(database, daily) == 0
    set_paused(database, "etl", paused=False)
    assert transitions.claim_due(database, daily, dag_ids=["other"]) == 0
    assert transitions.claim_due(database, daily, dag_ids=["etl"]) == 1


def test_a_due_date_of_an_earlier_structure_gets_no_run_until_the_cursor_has_moved(database: Database) -> None:
    stored(database, "etl")
    transitions.move_changed(database, placed)
    stored(database, "etl", digest="s2")
    assert transitions.claim_due(database, daily) == 0
    assert queries.runs(database, "etl") == []
    assert transitions.move_changed(database, placed) == 1
    assert transitions.claim_due(database, daily) == 1
    assert len(queries.runs(database, "etl")) == 1


def test_a_queued_run_of_a_paused_dag_waits_and_an_active_one_goes_on(database: Database) -> None:
    stored(database, "etl")
    served(database, "etl", 2)
    transitions.start_run(database, "etl", "scheduled_20160222")
    set_paused(database, "etl", paused=True)
    assert [one.run.run_id for one in transitions.take_runs(database, "m1", 60)] == ["scheduled_20160222"]


def test_masters_share_runs_within_max_active_runs_and_take_over_from_the_dead(database: Database) -> None:
    stored(database, "etl")
    served(database, "etl", 4)
    first = transitions.take_runs(database, "m1", 60)
    assert [(one.run.run_id, one.epoch) for one in first] == [("scheduled_20160222", 1), ("scheduled_20160223", 1)]
    for one in first:
        assert transitions.start_run(database, "etl", one.run.run_id, max_active_runs=2)
    assert transitions.take_runs(database, "m2", 60) == []
    assert transitions.renew_claims(database, "m1", 60) == {("etl", one.run.run_id) for one in first}
    lapse(database)
    second = transitions.take_runs(database, "m2", 60)
    assert [(one.run.run_id, one.epoch) for one in second] == [("scheduled_20160222", 2), ("scheduled_20160223", 2)]
    assert transitions.renew_claims(database, "m1", 60) == frozenset()
    assert not transitions.end_claimed_run(database, first[0], RunState.FAILED)
    assert queries.run_of_id(database, "etl", first[0].run.run_id).state is RunState.RUNNING  # type: ignore[union-attr]
    assert transitions.end_claimed_run(database, second[0], RunState.SUCCESS)
    assert not transitions.end_claimed_run(database, second[0], RunState.SUCCESS)
    assert transitions.release_claims(database, "m2") == 1
    assert [one.run.run_id for one in transitions.take_runs(database, "m3", 60)] == [
        "scheduled_20160223",
        "scheduled_20160224",
    ]
    assert transitions.claim_owners(database) == ["m3"]


def test_a_postponed_run_comes_back_after_its_delay(database: Database) -> None:
    stored(database, "etl")
    served(database, "etl", 1)
    (taken,) = transitions.take_runs(database, "m1", 60)
    transitions.postpone_run(database, taken, 60)
    assert transitions.take_runs(database, "m1", 60) == []
    lapse(database)
    assert [one.epoch for one in transitions.take_runs(database, "m1", 60)] == [2]


def test_a_cleared_run_of_the_service_is_taken_again_and_that_of_a_command_is_not(database: Database) -> None:
    stored(database, "etl")
    served(database, "etl", 1)
    (taken,) = transitions.take_runs(database, "m1", 60)
    transitions.end_claimed_run(database, taken, RunState.FAILED)
    transitions.ensure_run(database, new_run("etl", 1, run_id="by_hand", state=RunState.RUNNING))
    transitions.set_run_state(database, "etl", "by_hand", RunState.FAILED)
    for run in queries.runs(database, "etl"):
        transitions.ensure_instances(database, [new_instance(run, "load")])
        transitions.clear(database, [queries.instances(database, "etl", [run.run_id])[0].key])
    assert {one.state for one in queries.runs(database, "etl")} == {RunState.QUEUED}
    assert [one.run.run_id for one in transitions.take_runs(database, "m1", 60)] == [taken.run.run_id]


def test_a_run_that_a_command_ends_leaves_no_claim(database: Database) -> None:
    stored(database, "etl")
    served(database, "etl", 1)
    assert transitions.set_run_state(database, "etl", "scheduled_20160222", RunState.SUCCESS)
    assert claims(database) == []


def test_a_queued_run_follows_the_present_version_of_its_dag(database: Database) -> None:
    stored(database, "etl")
    served(database, "etl", 1)
    (taken,) = transitions.take_runs(database, "m1", 60)
    stored(database, "etl", digest="s2")
    stored(database, "etl", digest="s2")
    assert transitions.set_run_version(database, taken.run).structure_digest == "s2"
    assert queries.run_of_id(database, "etl", taken.run.run_id).structure_digest == "s2"  # type: ignore[union-attr]
    versions = select(dag_version.c.number, dag_version.c.structure_digest).order_by(dag_version.c.number)
    found = database.query(lambda connection: connection.execute(versions).all())
    assert [tuple(row) for row in found] == [(1, "s1"), (2, "s2")]


def test_masters_that_plan_and_take_at_once_share_the_work_without_a_double(database: Database) -> None:
    names = [f"d{number:02}" for number in range(40)]
    stored(database, *names)
    transitions.move_changed(database, placed)
    taken: dict[str, list[tuple[str, str]]] = {"m1": [], "m2": [], "m3": []}

    def serve(owner: str) -> None:
        for _ in range(12):
            transitions.claim_due(database, _once, limit=7)
            claimed = transitions.take_runs(database, owner, 60, limit=9)
            taken[owner] += [(one.run.dag_id, one.run.run_id) for one in claimed]

    _at_once([lambda owner=owner: serve(owner) for owner in taken])
    every = [one for found in taken.values() for one in found]
    assert sorted(every) == [(name, "scheduled_20160222") for name in names]
    assert len(queries.runs(database)) == 40


def _once(row: CursorRow, time: dt.datetime) -> CursorMove:
    planned = daily(row, time)
    return CursorMove(runs=planned.runs, next_logical_date=None, next_run_at=None)


def _at_once(works: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_plan_of_a_turn_sees_the_clock_of_the_database(database: Database) -> None:
    stored(database, "etl")
    seen = []

    def note(row: CursorRow, time: dt.datetime) -> CursorMove:
        seen.append(time)
        return placed(row, time)

    before = database_time(database)
    transitions.move_changed(database, note)
    assert before - dt.timedelta(seconds=1) <= seen[0] <= database_time(database)


def _pass_time_of_callbacks(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(update(run_callback).values(next_call_at=now(-1.0)))


def test_the_callbacks_of_a_run_are_due_until_they_were_called(database: Database) -> None:
    run = made_run(database, "load")
    transitions.end_run(database, "etl", run.run_id, RunState.FAILED, calls_back=True)
    first = transitions.RunCallback(dag_id="etl", run_id=run.run_id, attempt=1, state=RunState.FAILED)
    assert transitions.begin_run_callbacks(database, first, 60.0)
    assert transitions.take_run_callbacks(database, dag_id="etl") == []
    _pass_time_of_callbacks(database)
    assert transitions.take_run_callbacks(database) == [], "a command made the run"
    (second,) = transitions.take_run_callbacks(database, dag_id="etl")
    assert second == replace(first, calls=2)
    assert not transitions.begin_run_callbacks(database, first, 60.0)
    assert transitions.begin_run_callbacks(database, second, 60.0)
    transitions.finish_run_callbacks(database, second)
    _pass_time_of_callbacks(database)
    assert transitions.take_run_callbacks(database, dag_id="etl") == []
    assert not transitions.begin_run_callbacks(database, second, 60.0)


def test_a_run_that_does_not_end_makes_no_callbacks_due(database: Database) -> None:
    run = made_run(database, "load")
    transitions.set_run_state(database, "etl", run.run_id, RunState.FAILED)
    assert not transitions.end_run(database, "etl", run.run_id, RunState.SUCCESS, calls_back=True)
    _pass_time_of_callbacks(database)
    assert transitions.take_run_callbacks(database, dag_id="etl") == []
