"""Run groups of a master: a DAG that cannot go on leaves the runs of the others alone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_samples import DAILY, dag_file, served
from sqlalchemy import delete, select, update

from elastic.dag.files.dag_bag import DagBag
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.errors import DatabaseUnavailableError
from elastic.db.records import AttemptResult, DagRun
from elastic.db.schema import run_callback, run_claim, task_instance
from elastic.db.sql_clock import now
from elastic.db.stores.pools import PoolStore
from elastic.executors.executor import Executor, TaskCommand
from elastic.scheduler.commands.trigger import trigger_run
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.due_callbacks import MAX_CALLS, CallbackQueue
from elastic.service.file_runners import FileCallbackRunner
from elastic.service.parsing.last_good_sources import LastGoodSources
from elastic.service.run_groups import RunGroups
from elastic.service.stored_dags import StoredDags

OWNER = "boot/1/1/master"

POOLED = """
from elastic.dag import DAG
from elastic.operators import EmptyOperator

with DAG({dag_id!r}, start_date={start!r}) as dag:
    EmptyOperator(task_id="first", pool="narrow") >> EmptyOperator(task_id="second", pool="narrow")
"""


class HeldExecutor(Executor):
    """Executor whose commands run until they are killed."""

    def execute_async(self, key: TaskKey, command: TaskCommand, queue: str) -> None:
        pass

    def kill(self, key: TaskKey) -> None:
        self.change_state(key, TaskState.FAILED, exit_code=-9)


class Served:
    """Run groups of one master, without its loop."""

    def __init__(self, home: Path) -> None:
        self.home, self.deployment = home, Deployment.of()
        self.database, self.executor, self.said = self.deployment.database, HeldExecutor(), list[str]()
        self.callbacks = callbacks = CallbackQueue(
            FileCallbackRunner(self.deployment, LastGoodSources.of(home)), self.said.append
        )
        dags = StoredDags(self.database)
        self.groups = RunGroups(self.deployment, dags, self.executor, callbacks, OWNER, self.said.append)

    def trigger(self, dag_id: str, text: str = DAILY, *, day: int = 22) -> DagRun:
        path = dag_file(self.home, dag_id, text=text)
        dag = DagBag(path, root=path.parent).get_dag(dag_id)
        return trigger_run(self.deployment, dag, dag.instant(f"2016-02-{day}"), None, {})

    def take(self) -> list[str]:
        """Take the free runs; return the ids of their DAGs."""
        claims = transitions.take_runs(self.database, OWNER, 60.0)
        for claim in claims:
            self.groups.add(claim, self.home / "dags")
        return [claim.run.dag_id for claim in claims]

    def resume(self) -> dict[tuple[str, str], Any]:
        """Go on after an outage, and return the events to repeat."""
        self.groups.suspend()
        held = transitions.renew(self.database, OWNER, 60.0)
        claims = transitions.renew_claims(self.database, OWNER, 60.0)
        return self.groups.resume(self.home / "dags", held, claims, 0.0)

    def end(self, runs: list[DagRun]) -> None:
        """Kill the attempts of runs, fail the runs, and forget them."""
        for run in runs:
            transitions.set_run_state(self.database, run.dag_id, run.run_id, RunState.FAILED)
        self.groups.suspend()
        self.resume()
        self.executor.get_event_buffer()

    def states(self, run: DagRun) -> dict[str, TaskState | None]:
        found = queries.states(self.database, run.dag_id, run.run_id)
        return {key.task_id: state for key, state in found.items()}

    def running(self) -> list[str]:
        return sorted(f"{key.dag_id}.{key.task_id}" for key in self.executor.running)

    def delete_instances(self, run: DagRun) -> None:
        """Delete the rows of the instances of a run, so that a master cannot make attempts of them."""
        same = (task_instance.c.dag_id == run.dag_id) & (task_instance.c.run_id == run.run_id)
        with self.database.begin() as connection:
            connection.execute(delete(task_instance).where(same))


@pytest.fixture
def service(home: Path) -> Iterator[Served]:
    found = Served(home)
    yield found
    found.database.close()


def test_a_run_waits_while_its_pool_is_deleted_and_goes_on_once_it_is_back(service: Served) -> None:
    pools = PoolStore(service.database)
    pools.put("narrow", 1)
    run, other = service.trigger("pooled", POOLED), service.trigger("other")
    assert service.take() == ["other", "pooled"]
    pools.delete("narrow")
    for _ in range(3):
        service.groups.turn({})
    assert service.running() == ["other.first"]
    assert service.states(run)["first"] not in (TaskState.QUEUED, TaskState.RUNNING)
    pools.put("narrow", 1)
    held = transitions.renew(service.database, OWNER, 60.0)
    service.groups.check(held, transitions.renew_claims(service.database, OWNER, 60.0))
    service.groups.turn({})
    deadline = time.monotonic() + 20
    while "pooled.first" not in service.running():
        assert time.monotonic() < deadline, service.said
        service.groups.turn({})
    assert service.states(other)["first"] is TaskState.QUEUED


def test_a_dag_that_cannot_go_on_is_set_aside_and_the_others_go_on(service: Served) -> None:
    broken, other = service.trigger("broken"), service.trigger("other")
    service.take()
    service.groups.turn({})
    assert service.running() == ["broken.first", "other.first"]
    late = service.trigger("late")
    service.take()
    service.delete_instances(late)
    service.groups.turn({})
    assert service.running() == ["broken.first", "other.first"]
    assert service.groups.dag_ids == ["broken", "other"]
    (said,) = [line for line in service.said if "cannot go on" in line]
    assert said.startswith("DAG 'late' cannot go on, and is tried again in 30 s (KeyError: ")
    assert service.take() == [], "it is postponed"
    assert service.states(late) == {}
    assert service.states(broken)["first"] is service.states(other)["first"] is TaskState.QUEUED


def test_the_attempts_of_a_dag_that_is_set_aside_are_killed_and_run_again(service: Served) -> None:
    run, other = service.trigger("broken"), service.trigger("other")
    service.take()
    service.groups.turn({})
    later = service.trigger("broken", day=23)
    assert service.take() == ["broken"]
    service.delete_instances(later)
    service.groups.turn({})
    assert service.running() == ["other.first"]
    assert service.groups.dag_ids == ["other"]
    assert service.states(run)["first"] is TaskState.SCHEDULED
    assert service.states(other)["first"] is TaskState.QUEUED
    assert {row.lease_owner for row in queries.active_instances(service.database)} == {OWNER}
    assert service.take() == [], "both runs are postponed"


def test_a_run_that_is_taken_again_while_its_old_attempt_runs_is_given_back(service: Served) -> None:
    run = service.trigger("daily")
    service.take()
    service.groups.turn({})
    assert service.running() == ["daily.first"]
    with service.database.begin() as connection:
        connection.execute(update(run_claim).values(owner="boot/2/2/other", epoch=run_claim.c.epoch + 1))
    held = transitions.renew(service.database, OWNER, 60.0)
    service.groups.check(held, transitions.renew_claims(service.database, OWNER, 60.0))
    transitions.release_claims(service.database, "boot/2/2/other")
    assert service.take() == ["daily"]
    assert transitions.claim_owners(service.database) == [], "it was given back"
    (key,) = service.executor.running
    service.executor.kill(key)
    service.groups.turn({("daily", run.run_id): list(service.executor.get_event_buffer().values())})
    assert service.groups.is_empty
    deadline = time.monotonic() + 20
    while not service.take():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert transitions.claim_owners(service.database) == [OWNER]
    assert service.groups.dag_ids == ["daily"]


TELLING = """
from pathlib import Path
from elastic.dag import DAG
from elastic.operators import EmptyOperator

def tell(context):
    with Path({here!r}, "told").open("a") as file:
        file.write(f"{{context['run_id']}} {{context['state']}}\\n")

with DAG({dag_id!r}, schedule=None, start_date={start!r}, on_failure_callback=tell) as dag:
    EmptyOperator(task_id="first", on_failure_callback=tell) >> EmptyOperator(task_id="second")
"""


def test_the_callbacks_that_a_dead_master_left_are_called_once_by_another_one(service: Served) -> None:
    """The master ended an attempt and its run, and died before it called anything."""
    run = service.trigger("telling", TELLING)
    (claim,) = transitions.take_runs(service.database, OWNER, 60.0)
    service.groups.add(claim, service.home / "dags")
    service.groups.turn({})
    (command,) = service.executor.running.values()
    assert transitions.finish(
        service.database,
        AttemptResult(
            attempt_uuid=command.request.info.attempt_uuid,
            state=TaskState.FAILED,
            expected=TaskState.QUEUED,
            error="it was killed",
            callback=TaskState.FAILED,
        ),
    )
    assert transitions.end_claimed_run(service.database, claim, RunState.FAILED, calls_back=True)
    assert transitions.take_run_callbacks(service.database) == [], "its master has a while to call them"
    with service.database.begin() as connection:
        connection.execute(update(run_callback).values(next_call_at=now(-1.0)))
    for _ in range(2):
        served()
        told = (service.home / "told").read_text().splitlines()
        assert told == [f"{run.run_id} failed"] * 2, "one of the task, and one of the run"
    assert service.database.query(lambda connection: connection.execute(select(run_callback)).all()) == []


def test_callbacks_that_no_process_calls_to_the_end_are_given_up(service: Served) -> None:
    service.trigger("telling", TELLING)
    (claim,) = transitions.take_runs(service.database, OWNER, 60.0)
    assert transitions.end_claimed_run(service.database, claim, RunState.FAILED, calls_back=True)
    for _ in range(MAX_CALLS):
        with service.database.begin() as connection:
            connection.execute(update(run_callback).values(next_call_at=now(-1.0)))
        service.groups.queue_left_callbacks(service.home / "dags")
    (said,) = service.said
    assert said.endswith("are given up: 3 processes could not call them to the end")
    assert service.database.query(lambda connection: connection.execute(select(run_callback)).all()) == []
    service.callbacks.terminate()


class Unlucky:
    """Lets the first transaction and another one fail, before they begin or after they are committed."""

    def __init__(self, database: Database, number: int, *, is_committed: bool) -> None:
        self.run, self.number, self.is_committed, self.count = database._with_retries, number, is_committed, 0

    def __call__(self, *arguments: Any) -> Any:
        self.count += 1
        if self.count - 1 not in (0, self.number):
            return self.run(*arguments)
        if self.is_committed:
            self.run(*arguments)
        raise DatabaseUnavailableError("the database", "no answer")


@pytest.mark.slow
@pytest.mark.parametrize("is_committed", [False, True])
def test_an_outage_at_any_transaction_loses_no_result_and_ends_no_attempt(
    service: Served, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    """A task ends, and its result or what follows from it meets the outage; the task of the other DAG goes on."""
    for number in range(28):
        name, beside = f"daily{number}", f"other{number}"
        run, other = service.trigger(name), service.trigger(beside)
        service.take()
        service.groups.turn({})
        assert service.running() == [f"{name}.first", f"{beside}.first"]
        key = TaskKey(name, run.run_id, "first")
        request = service.executor.running[key].request
        service.executor.change_state(
            key,
            TaskState.SUCCESS,
            account=AttemptResult(
                attempt_uuid=request.info.attempt_uuid, state=TaskState.SUCCESS, expected=TaskState.QUEUED
            ),
        )
        unlucky = Unlucky(service.database, number, is_committed=is_committed)
        with monkeypatch.context() as patched:
            patched.setattr(service.database, "_with_retries", unlucky)
            events: dict[tuple[str, str], Any] = {
                (name, run.run_id): list(service.executor.get_event_buffer().values())
            }
            is_away = False
            for _ in range(6):
                try:
                    service.groups.turn(service.resume() if is_away else events)
                    is_away, events = False, {}
                except DatabaseUnavailableError:
                    is_away = True
                    service.groups.suspend()
        deadline = time.monotonic() + 20
        while service.running() != [f"{name}.second", f"{beside}.first"]:
            assert time.monotonic() < deadline, (number, service.said)
            service.groups.turn({})
        for found, task_id in ((run, "first"), (other, "first")):
            attempts = queries.attempts(service.database, TaskKey(found.dag_id, found.run_id, task_id))
            assert len(attempts) == 1, (number, attempts)
        assert service.states(run)["first"] is TaskState.SUCCESS
        assert not any("cannot go on" in line for line in service.said)
        service.end([run, other])
        if unlucky.count <= number:
            assert number > 5
            return


def test_a_run_that_another_master_took_during_an_outage_is_left_to_it(service: Served) -> None:
    run = service.trigger("daily")
    service.trigger("other")
    service.take()
    service.groups.turn({})
    service.groups.suspend()
    assert service.groups.has_attempts
    other = "boot/2/2/other"
    with service.database.begin() as connection:
        same = run_claim.c.run_id == run.run_id
        connection.execute(update(run_claim).where(same, run_claim.c.dag_id == "daily").values(owner=other, epoch=9))
        connection.execute(
            update(task_instance).where(task_instance.c.dag_id == "daily").values(lease_owner=other, version=9)
        )
    assert service.resume() == {}
    assert service.running() == ["other.first"]
    assert service.groups.dag_ids == ["other"]
    assert sorted(transitions.claim_owners(service.database)) == [OWNER, other]


def test_the_database_does_not_choose_the_folder_from_which_tasks_import(service: Served, tmp_path: Path) -> None:
    path = dag_file(service.home, "daily")
    dag = DagBag(path, root=tmp_path).get_dag("daily")
    trigger_run(service.deployment, dag, dag.instant("2016-02-22"), None, {})
    service.take()
    service.groups.turn({})
    (command,) = service.executor.running.values()
    assert command.request.root == str(service.home / "dags")
    assert str(tmp_path) not in str(command)


def test_two_dags_get_free_slots_in_turn_whatever_the_number_of_turns_between(service: Served) -> None:
    service.executor.parallelism = 1
    for dag_id in ("one", "other"):
        for day in (22, 23, 24):
            service.trigger(dag_id, day=day)
    service.take()
    service.groups.turn({})
    started = []
    for _ in range(4):
        (key,) = service.executor.running
        started.append(key.dag_id)
        service.executor.kill(key)
        events = list(service.executor.get_event_buffer().values())
        service.groups.turn({(key.dag_id, key.run_id): events})
        service.groups.turn({})
    assert started == ["one", "other"] * 2
