"""Processes that are killed, interrupted or compete: no attempt counts twice, and none is lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_samples import (
    AT_ONCE,
    COUNT,
    RANGE,
    backfill_until_held,
    check_all_done_once,
    check_told_once,
    dag_file,
    go_on,
    has_ended,
    kill,
    pids,
    release,
    tries,
)
from run_samples import START, dag_of, noop, run

from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.records import AttemptResult, Claim, DagRun, QueueRequest
from elastic.operators import EmptyOperator, PythonOperator
from elastic.scheduler.attempts.attempt_request import AttemptRequest, attempt_info_of, new_instance
from elastic.scheduler.commands.run_task import SingleResult, TaskRunOptions, record_result, run_at, run_in_process
from elastic.scheduler.deployment import Deployment
from elastic.testing import PostgresServer
from tests.command_process import end_all, ended, started, until


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture(params=["sqlite", "postgresql"])
def metadata(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite, then PostgreSQL, as the metadata database."""
    if request.param == "postgresql":
        _use(request.getfixturevalue("postgres_server"), monkeypatch)


def _use(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.create_database()
    database = Database(url)
    create(database)
    database.close()
    monkeypatch.setenv("ELASTIC__DATABASE__URL", url)


@pytest.mark.usefixtures("metadata")
def test_a_backfill_that_is_killed_is_gone_on_with(tmp_path: Path) -> None:
    first = backfill_until_held(tmp_path)
    kill(first.pid)
    ended(first)
    # without their supervisor, tasks end by themselves
    assert all(map(has_ended, pids(tmp_path)))
    release(tmp_path)
    assert go_on(tmp_path).succeeded
    check_all_done_once(tmp_path)
    # the four killed tasks had another try, and no others
    assert sorted(map(len, tries().values())) == [1] * (COUNT - AT_ONCE) + [2] * AT_ONCE


def test_a_task_process_that_is_killed_costs_a_try(tmp_path: Path) -> None:
    backfill = backfill_until_held(tmp_path)
    victim = pids(tmp_path)[0]
    (killed,) = [one.key for one in queries.active_instances(Deployment.of().database) if one.pid == victim]
    kill(victim)
    release(tmp_path)
    printed = ended(backfill)
    assert backfill.returncode == 0, printed
    check_all_done_once(tmp_path)
    made = tries()
    first, _ = made[killed]
    assert (first.error, first.exit_code) == ("its process was ended by signal SIGKILL", -9)
    assert sorted(map(len, made.values())) == [1] * (COUNT - 1) + [2]


@pytest.mark.parametrize("with_backfill", [False, True], ids=["server alone", "server and backfill"])
def test_a_killed_server_loses_no_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer, with_backfill: bool
) -> None:
    _use(postgres_server, monkeypatch)
    backfill = backfill_until_held(tmp_path)
    postgres_server.kill()
    # the four end while no process can record it
    release(tmp_path)
    if with_backfill:
        kill(backfill.pid)
        assert all(map(has_ended, pids(tmp_path)))
    postgres_server.start()
    printed = ended(backfill)
    if with_backfill:
        assert go_on(tmp_path).succeeded
    else:
        assert backfill.returncode == 0, printed
        assert set(map(len, tries().values())) == {1}
    check_all_done_once(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_attempt_is_marked_as_failed_and_ends(tmp_path: Path, number: signal.Signals, code: int) -> None:
    backfill = backfill_until_held(tmp_path)
    os.kill(backfill.pid, number)
    printed = ended(backfill)
    assert backfill.returncode == code, printed
    assert "Traceback" not in printed
    assert all(map(has_ended, pids(tmp_path)))
    made = [one for tried in tries().values() for one in tried]
    assert [one.state for one in made] == [TaskState.FAILED] * AT_ONCE
    assert {one.error for one in made} == {"interrupted" if number is signal.SIGINT else "terminated"}
    check_told_once(tmp_path)
    assert not queries.active_instances(Deployment.of().database)
    release(tmp_path)
    assert not go_on(tmp_path).succeeded
    assert go_on(tmp_path, rerun_failed=True).succeeded


@pytest.mark.parametrize("executor", ["inline", "executor_samples:PlainExecutor"])
def test_a_lease_is_renewed_while_the_executor_can_do_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    monkeypatch.setenv("ELASTIC__SCHEDULER__LEASE", "0.5")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "executors"))
    backfill = backfill_until_held(tmp_path, "--executor", executor, "-t", "t0_0", "--max-active-runs", "1", at_once=1)
    database = Deployment.of().database
    (first,) = queries.active_instances(database)

    def is_renewed() -> bool:
        (now,) = queries.active_instances(database)
        assert now.lease_expires_at is not None
        assert first.lease_expires_at is not None
        return (now.lease_expires_at - first.lease_expires_at).total_seconds() > 0.5

    until(is_renewed, backfill)
    assert transitions.expire(database) == []
    release(tmp_path)
    printed = ended(backfill)
    assert backfill.returncode == 0, printed
    assert set(map(len, tries().values())) == {1}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_reaches_a_task_in_the_same_process(tmp_path: Path, number: signal.Signals, code: int) -> None:
    backfill = backfill_until_held(tmp_path, "--executor", "inline", at_once=1)
    os.kill(backfill.pid, number)
    printed = ended(backfill)
    assert (backfill.returncode, "Traceback" in printed) == (code, False), printed
    (made,) = [one for tried in tries().values() for one in tried]
    assert (made.state, made.error) == (TaskState.FAILED, "interrupted" if code == 130 else "terminated")
    assert not queries.active_instances(Deployment.of().database)


@pytest.mark.usefixtures("metadata")
def test_two_backfills_of_one_range_run_nothing_twice_and_both_end(tmp_path: Path) -> None:
    file = dag_file(tmp_path)
    both = [started("backfill", *RANGE, "-sd", str(file)) for _ in range(2)]
    printed = [ended(one) for one in both]
    assert [one.returncode for one in both] == [0, 0], printed
    check_all_done_once(tmp_path)
    assert len((tmp_path / "ran").read_text().splitlines()) == COUNT
    assert sum(one.count("Adding to queue") for one in printed) == COUNT


def test_a_zombie_changes_nothing_when_it_comes_back() -> None:
    dag = dag_of("zombie")
    task = EmptyOperator(task_id="only", dag=dag)
    deployment = Deployment.of()
    run = run_at(deployment, task, START)
    info = attempt_info_of(run, "only", attempt_uuid="old")
    request = AttemptRequest(info=info, max_tries=1, lease_owner="nobody")
    transitions.ensure_instances(deployment.database, [new_instance(run, task)])
    assert transitions.queue(deployment.database, QueueRequest(key=info.key, attempt_uuid="old", lease_owner="nobody"))
    claim = Claim(key=info.key, attempt_uuid="old", host="gone", pid=1, lease_owner="nobody", lease=-1.0)
    assert transitions.claim(deployment.database, claim)
    # its lease has expired, so another process takes over the instance
    assert run_in_process(deployment, task, run, TaskRunOptions()) == SingleResult(state=TaskState.SUCCESS)
    before = queries.instance(deployment.database, info.key)
    for state in (TaskState.FAILED, TaskState.SUCCESS):
        late = AttemptResult(attempt_uuid="old", state=state, error="too late", xcoms={"return_value": "1"})
        assert record_result(deployment, task, request, late) is None
    found = queries.instance(deployment.database, info.key)
    assert found == before
    assert found is not None
    assert (found.state, found.try_number) == (TaskState.SUCCESS, 2)
    assert list(queries.xcoms(deployment.database, "zombie", run.run_id, ["only"], "return_value")) == []


def test_abandoned_runs_do_not_block_others() -> None:
    """A killed backfill leaves runs in state running; another range runs nevertheless."""
    dag = dag_of("stuck", max_active_runs=1)
    PythonOperator(task_id="only", python_callable=noop, dag=dag)
    database = Deployment.of().database
    before = START.replace(year=2015)
    made = DagRun(
        dag_id="stuck", run_id="left", logical_date=before, data_interval_start=before, data_interval_end=before
    )
    transitions.ensure_run(database, made)
    transitions.start_run(database, "stuck", "left")
    assert run(dag).succeeded
