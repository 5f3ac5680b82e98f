"""Commands on stored DAGs: what the web server asks for without the DAG file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from elastic.core.errors import UsageError
from elastic.dag import DAG
from elastic.dag.errors import DefinitionError
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.ids import TaskKey
from elastic.dag.serialized_dag import SerializedDag, from_dict, to_dict
from elastic.db import queries
from elastic.db.records import TaskInstanceRow
from elastic.operators import EmptyOperator, PythonOperator
from elastic.scheduler.attempts.attempt_log import log_path
from elastic.scheduler.attempts.attempt_request import attempt_info_of
from elastic.scheduler.catalog.dag_catalog import store
from elastic.scheduler.commands.clear import ClearOptions, to_clear
from elastic.scheduler.commands.trigger import RunRequest, queue_run, trigger_run
from elastic.scheduler.commands.trigger_stored import trigger_stored
from elastic.scheduler.commands.why import stored_verdicts
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.log_location import log_path_at
from tests.scheduler.run_samples import START, dag_of, day, run


def chain(dag_id: str = "etl", **settings: object) -> DAG:
    """Return a DAG of a -> b -> c, and d beside them."""
    with dag_of(dag_id, **settings) as dag:
        a, b, c, _ = (EmptyOperator(task_id=name) for name in "abcd")
        a >> b >> c
    return dag


def stored(dag: DAG) -> SerializedDag:
    return from_dict(to_dict(dag))


def names(rows: list[TaskInstanceRow]) -> list[str]:
    return [f"{one.task_id} {one.run_id[-15:-7]}" for one in rows]


def test_a_stored_dag_clears_what_the_loaded_one_clears(home: Path) -> None:
    dag = chain()
    run(dag, 2)
    database = Deployment.of().database
    for options in (
        ClearOptions(),
        ClearOptions(task_regex="b", upstream=True),
        ClearOptions(task_regex="a|d", downstream=True),
        ClearOptions(start=START, end=START),
        ClearOptions(only_failed=True),
    ):
        of_file = to_clear(database, DagSpec.of(dag), options)
        assert names(to_clear(database, DagSpec.of_stored(stored(dag)), options)) == names(of_file)


def test_one_task_of_one_run_is_cleared_with_its_downstream_tasks(home: Path) -> None:
    dag = chain()
    run(dag, 2)
    spec = DagSpec.of_stored(stored(dag))
    options = ClearOptions(start=START, end=START, task_id="b", downstream=True)
    assert names(to_clear(Deployment.of().database, spec, options)) == ["b 20160222", "c 20160222"]


def test_one_copy_is_cleared_without_the_others(home: Path) -> None:
    with dag_of() as dag:
        mapped = PythonOperator.partial(task_id="mapped", python_callable=str).expand(op_args=[[1], [2], [3]])
        mapped >> EmptyOperator(task_id="after")
    run(dag)
    spec, database = DagSpec.of_stored(stored(dag)), Deployment.of().database
    found = to_clear(database, spec, ClearOptions(task_id="mapped", map_index=1, downstream=True))
    assert [(one.task_id, one.map_index) for one in found] == [("after", -1), ("mapped", 1)]


def test_a_task_that_the_dag_lost_is_not_cleared(home: Path) -> None:
    spec = DagSpec.of_stored(stored(chain()))
    with pytest.raises(UsageError, match="has no task 'gone' in its current version"):
        to_clear(Deployment.of().database, spec, ClearOptions(task_id="gone"))
    with pytest.raises(DefinitionError, match="is not a regular expression"):
        to_clear(Deployment.of().database, spec, ClearOptions(task_regex="("))


def test_a_run_of_a_stored_dag_has_its_instances_and_digests(home: Path) -> None:
    deployment, dag = Deployment.of(), chain(schedule="@daily")
    digests, found = store(deployment, dag), stored(dag)
    request = RunRequest(date=day(3), conf={"full": True})
    made = queue_run(deployment.database, DagSpec.of_stored(found), found.schedule, digests, request)
    assert (made.conf, made.is_served, made.structure_digest) == ({"full": True}, True, digests.structure)
    assert made.data_interval_end - made.data_interval_start == timedelta(days=1)
    rows = queries.instances(deployment.database, "etl", [made.run_id])
    assert [(one.task_id, one.state) for one in rows] == [(name, None) for name in "abcd"]
    with pytest.raises(UsageError, match="has a run for 2016-02-25 00:00:00 UTC already"):
        queue_run(deployment.database, DagSpec.of_stored(found), found.schedule, digests, request)


@pytest.mark.parametrize("year", [1, 1899, 9000, 9999])
def test_no_run_is_queued_outside_of_the_years_of_runs(home: Path, year: int) -> None:
    deployment, dag = Deployment.of(), chain(schedule="@daily", timezone="Asia/Tokyo")
    store(deployment, dag)
    date = datetime(year, 12, 31, 23, 30, tzinfo=UTC)
    with pytest.raises(UsageError, match="expected a year from 1900 to 8999; give another date"):
        trigger_stored(deployment.database, "etl", date)
    with pytest.raises(UsageError, match="invalid logical date"):
        trigger_run(deployment, dag, date, None, {})
    assert queries.run_at(deployment.database, "etl", date) is None


def test_verdicts_on_a_stored_dag_name_what_an_instance_waits_for(home: Path) -> None:
    deployment, dag = Deployment.of(), chain(schedule="@daily")
    digests, found = store(deployment, dag), stored(dag)
    made = queue_run(deployment.database, DagSpec.of_stored(found), found.schedule, digests, RunRequest(date=START))
    spec, now = DagSpec.of_stored(found), day(5)
    verdicts = stored_verdicts(deployment, spec, found.schedule, made, TaskKey("etl", made.run_id, "b"), now)
    assert [one.reason for one in verdicts if not one.met] == ["waiting for 'a' (all_success)"]
    with pytest.raises(UsageError, match="does not run on"):
        stored_verdicts(deployment, spec, found.schedule, made, TaskKey("etl", made.run_id, "x"), now)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_the_path_of_a_log_is_the_same_with_and_without_the_file(home: Path, zone: str) -> None:
    deployment, dag = Deployment.of(), chain(timezone=zone)
    digests, found = store(deployment, dag), stored(dag)
    made = queue_run(deployment.database, DagSpec.of_stored(found), found.schedule, digests, RunRequest(date=START))
    for index in (-1, 7):
        key = TaskKey("etl", made.run_id, "a", index)
        computed = log_path_at(deployment.logs, key, made.logical_date, ZoneInfo(zone))
        instance = TaskInstance(dag.get_task("a"), attempt=attempt_info_of(made, "a", index))
        assert computed == log_path(deployment, instance)
        assert computed.relative_to(deployment.logs).as_posix().startswith(instance.log_filepath)
