"""Processes that are killed, interrupted, or do the same work: no attempt counts twice, and none is lost."""

import os
import signal
from pathlib import Path

import pytest
from kill_samples import COUNT, RANGE, dag_file, ended, kill, lives, started, until

from elastic.dag.key import TaskKey
from elastic.dag.state import TaskState
from elastic.db import reading, transition
from elastic.db.value import Attempt, Ending, NewInstance, NewRun
from elastic.scheduler.site import Site


def _tries() -> dict[TaskKey, list[Attempt]]:
    database = Site.of().database
    return {
        instance.key: reading.attempts(database, instance.key)
        for run in reading.runs(database, "killed")
        for instance in reading.instances(database, "killed", [run.run_id])
    }


def _check_all_done_once(folder: Path) -> None:
    """See to it that each instance has one attempt that counts, and that each attempt ran at most once."""
    found = _tries()
    assert len(found) == COUNT
    for key, tries in found.items():
        assert [one.state for one in tries if one.state is TaskState.SUCCESS] == [TaskState.SUCCESS], key
        assert [one.try_number for one in tries] == list(range(1, len(tries) + 1)), key
        assert all(one.state is TaskState.FAILED for one in tries[:-1]), key
    uuids = [line.split()[3] for line in (folder / "ran").read_text().splitlines()]
    assert len(uuids) == len(set(uuids))
    known = {one.attempt_uuid for tries in found.values() for one in tries}
    assert set(uuids) <= known
    assert not reading.active_instances(Site.of().database)


def test_a_backfill_that_is_killed_is_gone_on_with(tmp_path: Path) -> None:
    file = dag_file(tmp_path)
    (tmp_path / "hold").touch()
    first = started("backfill", *RANGE, "-sd", str(file))
    until(lambda: len(list(tmp_path.glob("pid-*"))) == 4, first)
    kill(first.pid)
    ended(first)
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    # without the process that watches them, tasks end by themselves
    while any(map(lives, pids)):
        pass
    (tmp_path / "hold").unlink()
    again = started("backfill", *RANGE, "-sd", str(file))
    printed = ended(again)
    assert again.returncode == 0, printed
    _check_all_done_once(tmp_path)
    # the four that were killed had another try, nothing else had
    assert sorted(len(tries) for tries in _tries().values()) == [1] * (COUNT - 4) + [2] * 4


def test_a_task_process_that_is_killed_costs_a_try(tmp_path: Path) -> None:
    file = dag_file(tmp_path)
    (tmp_path / "hold").touch()
    backfill = started("backfill", *RANGE, "-sd", str(file))
    until(lambda: len(list(tmp_path.glob("pid-*"))) == 4, backfill)
    victim = int(next(tmp_path.glob("pid-*")).name.removeprefix("pid-"))
    (killed,) = [one.key for one in reading.active_instances(Site.of().database) if one.pid == victim]
    kill(victim)
    (tmp_path / "hold").unlink()
    printed = ended(backfill)
    assert backfill.returncode == 0, printed
    _check_all_done_once(tmp_path)
    first, _second = _tries()[killed]
    assert (first.error, first.exit_code) == ("its process was ended by signal SIGKILL", -9)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_interrupted_is_marked_as_failed_and_ends(tmp_path: Path, number: signal.Signals, code: int) -> None:
    file = dag_file(tmp_path)
    (tmp_path / "hold").touch()
    backfill = started("backfill", *RANGE, "-sd", str(file))
    until(lambda: len(list(tmp_path.glob("pid-*"))) == 4, backfill)
    os.kill(backfill.pid, number)
    printed = ended(backfill)
    assert backfill.returncode == code, printed
    assert not any(lives(int(path.name.removeprefix("pid-"))) for path in tmp_path.glob("pid-*"))
    states = [tries[-1].state for tries in _tries().values() if tries]
    assert states == [TaskState.FAILED] * 4
    assert not reading.active_instances(Site.of().database)
    (tmp_path / "hold").unlink()
    again = started("backfill", *RANGE, "-sd", str(file), "--rerun-failed")
    printed = ended(again)
    assert again.returncode == 0, printed


def test_two_backfills_of_one_range_run_nothing_twice_and_both_end(tmp_path: Path) -> None:
    file = dag_file(tmp_path)
    both = [started("backfill", *RANGE, "-sd", str(file)) for _ in range(2)]
    printed = [ended(one) for one in both]
    assert [one.returncode for one in both] == [0, 0], printed
    _check_all_done_once(tmp_path)
    assert len((tmp_path / "ran").read_text().splitlines()) == COUNT
    assert sum(one.count("Adding to queue") for one in printed) == COUNT


def test_a_zombie_changes_nothing_when_it_comes_back() -> None:
    from elastic.dag import DAG
    from elastic.operators import EmptyOperator
    from elastic.scheduler.facts import facts_of
    from elastic.scheduler.order import Order, Report
    from elastic.scheduler.task_run import TaskWishes, run_at, run_here, write_down

    dag = DAG("zombie", start_date="2016-02-22")
    task = EmptyOperator(task_id="only", dag=dag)
    site = Site.of()
    assert dag.start_date is not None
    run = run_at(site, task, dag.start_date)
    facts = facts_of(run, "only", attempt_uuid="old")
    order = Order(facts=facts, max_tries=1, lease_owner="nobody")
    transition.ensure_instances(site.database, run, [NewInstance(task_id="only")])
    from elastic.db.value import Claim, Ticket

    assert transition.queue(site.database, Ticket(key=facts.key, attempt_uuid="old", lease_owner="nobody"))
    claim = Claim(key=facts.key, attempt_uuid="old", host="gone", pid=1, lease_owner="nobody", lease=-1.0)
    assert transition.claim(site.database, claim)
    # its lease is over, so another process takes over and fails for good
    assert run_here(site, task, run, TaskWishes()) == (TaskState.SUCCESS, "")
    late = Report(ending=Ending(attempt_uuid="old", state=TaskState.FAILED, error="too late"))
    assert write_down(site, task, order, late).ending is None
    found = reading.instance(site.database, facts.key)
    assert found is not None
    assert (found.state, found.try_number) == (TaskState.SUCCESS, 2)


def test_runs_that_nobody_sees_to_do_not_stand_in_the_way(tmp_path: Path) -> None:
    """A killed backfill leaves runs that are called running; another range has its turn nevertheless."""
    from run_samples import START, dag_of, noop, run

    from elastic.operators import PythonOperator

    dag = dag_of("stuck", max_active_runs=1)
    PythonOperator(task_id="only", python_callable=noop, dag=dag)
    database = Site.of().database
    before = START.replace(year=2015)
    made = NewRun(
        dag_id="stuck", run_id="left", logical_date=before, data_interval_start=before, data_interval_end=before
    )
    transition.ensure_run(database, made)
    transition.start_run(database, "stuck", "left")
    assert run(dag).succeeded
