"""Lease keepers: renew for a master whose loop is blocked, and for no other."""

import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_samples import dag_file, database, descendants, held_pids, run_states, served
from sqlalchemy import select

from elastic.dag.files.dag_bag import DagBag
from elastic.db import transitions
from elastic.db.schema import job, run_claim
from elastic.db.stores.jobs import MASTER_JOB, start_job
from elastic.scheduler.commands.trigger import trigger_run
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.lease_keeper import KeeperSetup, LeaseKeeper
from tests.command_process import end_all, ended, is_alive, started, until

OWNER = "boot/1/1/master"

#: An executor whose first task blocks the loop of its master while the file `hold` exists.
BLOCKING = """
import os, time
from pathlib import Path
from elastic.executors import LocalExecutor

class Blocking(LocalExecutor):
    def execute_async(self, key, command, queue):
        here = Path(os.environ["ELASTIC_HOME"])
        (here / "blocked").touch()
        while (here / "hold").exists():
            time.sleep(0.005)
        super().execute_async(key, command, queue)
"""


@pytest.fixture
def held(home: Path) -> Iterator[KeeperSetup]:
    """A run that a master holds under a short lease, and the setup of the keeper of that master."""
    deployment = Deployment.of()
    path = dag_file(home)
    dag = DagBag(path, root=path.parent).get_dag("daily")
    trigger_run(deployment, dag, dag.instant("2016-02-22"), None, {})
    assert transitions.take_runs(deployment.database, OWNER, 1.0)
    yield KeeperSetup(database=deployment.database, owner=OWNER, lease=1.0, interval=0.05, say=print)
    deployment.database.close()


@pytest.fixture
def keeper(held: KeeperSetup) -> Iterator[LeaseKeeper]:
    found = LeaseKeeper(held)
    yield found
    found.stop()


def expiry() -> object:
    """Return when the lease of the run expires."""
    return database().query(lambda connection: connection.execute(select(run_claim.c.lease_expires_at)).scalar())


def was_renewed() -> Callable[[], bool]:
    before = expiry()
    return lambda: expiry() != before


def test_a_keeper_renews_leases_and_the_heartbeat_of_a_master_whose_beat_is_late(keeper: LeaseKeeper) -> None:
    job_id = start_job(database(), MASTER_JOB)
    query = select(job.c.heartbeat_at).where(job.c.id == job_id)
    before = database().query(lambda connection: connection.execute(query).scalar())
    keeper.beat(job_id)
    for _ in range(2):
        until(was_renewed())
    until(lambda: database().query(lambda connection: connection.execute(query).scalar()) != before)


def test_a_keeper_that_was_killed_is_started_again_at_the_next_beat(keeper: LeaseKeeper) -> None:
    keeper.beat(0)
    until(was_renewed())
    pid = keeper._process.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))
    keeper.beat(0)
    until(was_renewed())


def test_a_keeper_leaves_a_lease_alone_that_was_released_or_taken_over(keeper: LeaseKeeper) -> None:
    keeper.beat(0)
    until(was_renewed())
    transitions.release_claims(database(), OWNER)
    assert transitions.take_runs(database(), "boot/2/2/other", 1.0)
    taken = expiry()
    job_id = start_job(database(), MASTER_JOB)
    keeper.beat(job_id)
    query = select(job.c.heartbeat_at).where(job.c.id == job_id)
    first = database().query(lambda connection: connection.execute(query).scalar())
    until(lambda: database().query(lambda connection: connection.execute(query).scalar()) != first)
    assert expiry() == taken


def test_a_master_that_makes_no_progress_for_long_is_not_renewed(
    held: KeeperSetup, keeper: LeaseKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = held.database.path.parent / "said"
    monkeypatch.setattr("elastic.scheduler.supervisor.lease_keeper._MAX_SILENT_LEASES", 0.2)
    keeper.setup = KeeperSetup(
        database=held.database, owner=OWNER, lease=1.0, interval=0.05, say=lambda line: [said.write_text(line)].clear()
    )
    keeper.beat(0)
    until(said.exists)
    assert said.read_text() == "the master has made no progress for 0.2 s; its leases are renewed no more"
    until(lambda: bool(transitions.take_runs(database(), "boot/2/2/other", 1.0)))


@pytest.fixture
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SCHEDULER__LEASE", "1.5")
    yield
    end_all()


@pytest.mark.usefixtures("_service")
def test_no_other_master_takes_the_runs_of_one_whose_loop_is_blocked(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocking.py").write_text(textwrap.dedent(BLOCKING))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    dag_file(home, days=1)
    (home / "hold").touch()
    first = started("master", "--executor", "blocking:Blocking")
    until((home / "blocked").exists, first)
    for _ in range(4):
        until(was_renewed(), first)
    assert "has taken over" not in served("--no-parse")
    assert run_states() == ["running"]
    (home / "hold").unlink()
    until(lambda: run_states() == ["success"], first)
    first.send_signal(signal.SIGTERM)
    ended(first)


@pytest.mark.usefixtures("_service")
def test_a_keeper_ends_with_its_master(home: Path) -> None:
    dag_file(home, days=1)
    (home / "hold").touch()
    master = started("master", "--executor", "inline")
    until(lambda: bool(held_pids(home)), master)
    below = list(descendants(master.pid))
    assert len(below) == 2, "the parser and the keeper"
    os.kill(master.pid, signal.SIGKILL)
    master.communicate()
    until(lambda: not any(is_alive(pid) for pid in below))
