"""A task that starts a run of another DAG and waits for its end."""

from elastic.dag.states.state import RunState
from elastic.db import queries, transitions
from elastic.operators import EmptyOperator, TriggerDagRunOperator
from elastic.scheduler.deployment import Deployment
from tests.sensors.sensor_samples import INTERVAL, Waiter, dag_of


def test_a_run_is_started_once_and_waited_for_and_a_retry_after_its_failure_starts_another() -> None:
    database = Deployment.of().database
    with dag_of("other") as other:
        EmptyOperator(task_id="load")
    other.db_merge()
    with dag_of():
        task = TriggerDagRunOperator(
            task_id="start", trigger_dag_id="other", conf={"day": "{{ ds }}"}, poke_interval=INTERVAL
        )
    waiter = Waiter.of(task, max_tries=2)
    waiter.slice()
    [run] = queries.runs(database, "other")
    assert (waiter.state, run.state, dict(run.conf)) == ("deferred", "queued", {"day": "2016-02-22"})
    transitions.set_run_state(database, "other", run.run_id, RunState.FAILED)
    assert waiter.to_end() == "failed"
    assert f"run {run.run_id} of DAG 'other' is failed" in waiter.error
    transitions.clear(database, [waiter.key])
    waiter.slice()
    assert waiter.state == "deferred"
    assert sorted(str(one.state) for one in queries.runs(database, "other")) == ["failed", "queued"]
