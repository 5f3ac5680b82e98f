"""Backfills in real processes, on SQLite."""

import os
import re
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_samples import START, attempts, dag_of, day, effective, meeting, noop, noted, ran, run, said, states

from elastic.core.errors import UsageError
from elastic.dag import DAG, Action, TaskFailedPermanently, TaskSkipped
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.db.stores.dags import source_of
from elastic.db.stores.pools import PoolStore
from elastic.operators import BashOperator, BranchOperator, EmptyOperator, PythonOperator, ShortCircuitOperator, task
from elastic.scheduler.commands.backfill import BackfillOptions, backfill
from elastic.scheduler.deployment import Deployment


def test_all_dates_of_a_range_run_in_order_and_what_succeeded_is_left_alone(tmp_path: Path) -> None:
    dag = dag_of()
    noted(dag, "extract", tmp_path) >> noted(dag, "load", tmp_path)
    first = run(dag, 3)
    assert first.succeeded
    assert first.counts == {"success": 6}
    lines = ran(tmp_path)
    assert sorted(lines) == sorted(f"{name} 2016-02-{22 + at}" for name in ("extract", "load") for at in range(3))
    for number in range(3):
        ds = f"2016-02-{22 + number}"
        assert lines.index(f"extract {ds}") < lines.index(f"load {ds}")
    assert run(dag, 3).counts == {"success": 6}
    assert ran(tmp_path) == lines
    assert set(effective(dag).values()) == {1}


def test_queued_attempts_are_printed_as_commands() -> None:
    dag = dag_of()
    EmptyOperator(task_id="only", dag=dag)
    assert said(dag) == ["Adding to queue: elastic run etl only 2016-02-22T00:00:00"]
    assert said(dag) == []


def test_a_regex_takes_those_before_along_and_leaves_them_out_on_demand(tmp_path: Path) -> None:
    dag = dag_of()
    noted(dag, "a", tmp_path) >> noted(dag, "b", tmp_path) >> noted(dag, "c", tmp_path)
    run(dag, task_regex="b", ignore_dependencies=True)
    assert ran(tmp_path) == ["b 2016-02-22"]
    run(dag, task_regex="b")
    assert ran(tmp_path) == ["b 2016-02-22", "a 2016-02-22"]
    run(dag)
    assert ran(tmp_path)[2:] == ["c 2016-02-22"]


def test_marking_executes_nothing(tmp_path: Path) -> None:
    dag = dag_of()
    noted(dag, "a", tmp_path) >> noted(dag, "b", tmp_path)
    assert run(dag, 2, mark_success=True).counts == {"success": 4}
    assert run(dag, 2).counts == {"success": 4}
    assert ran(tmp_path) == []


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    dag = dag_of()
    noted(dag, "a", tmp_path)
    assert said(dag, 2, dry_run=True) == [
        "Would add to queue: elastic run etl a 2016-02-22T00:00:00",
        "Would add to queue: elastic run etl a 2016-02-23T00:00:00",
    ]
    assert queries.runs(Deployment.of().database) == []


def test_the_latest_date_may_come_first(tmp_path: Path) -> None:
    dag = dag_of()
    noted(dag, "a", tmp_path)
    run(dag, 3, reverse=True, max_active_runs=1)
    assert ran(tmp_path) == ["a 2016-02-24", "a 2016-02-23", "a 2016-02-22"]


def test_a_failure_stops_what_comes_after_it_and_runs_again_only_on_demand(tmp_path: Path) -> None:
    dag = dag_of()
    check = BashOperator(task_id="check", bash_command=f"test -e {tmp_path}/mended", dag=dag)
    noted(dag, "before", tmp_path) >> check >> noted(dag, "after", tmp_path)
    summary = run(dag)
    assert not summary.succeeded
    assert states(summary) == {"before": "success", "check": "failed", "after": "upstream_failed"}
    (tmp_path / "mended").touch()
    assert states(run(dag))["check"] == "failed"
    assert run(dag, rerun_failed=True).succeeded
    assert ran(tmp_path) == ["before 2016-02-22", "after 2016-02-22"]


def test_a_date_waits_for_the_date_before(tmp_path: Path) -> None:
    dag = dag_of()

    def fail_on_the_second(ds: str) -> None:
        if ds == "2016-02-23" and not (tmp_path / "mended").exists():
            raise ValueError("not yet")

    guard = PythonOperator(task_id="guard", python_callable=fail_on_the_second, dag=dag, depends_on_past=True)
    guard >> noted(dag, "load", tmp_path)
    summary = run(dag, 4)
    assert not summary.succeeded
    assert ran(tmp_path) == ["load 2016-02-22"]
    assert [one for one in summary.stuck if "20160224" in one and "guard" in one]
    assert "depends on its run on 2016-02-23 00:00 UTC, which is failed" in summary.stuck[0]
    (tmp_path / "mended").touch()
    assert run(dag, 4, rerun_failed=True).succeeded
    # Only the guarded sections wait for each other.
    assert sorted(ran(tmp_path)) == [f"load 2016-02-{number}" for number in (22, 23, 24, 25)]
    with pytest.raises(UsageError, match="reverse"):
        run(dag, 2, reverse=True)


def test_never_more_instances_run_at_once_than_the_dag_allows(tmp_path: Path) -> None:
    dag = dag_of("daily_etls", concurrency=4)

    def work(ds: str, task: Any) -> None:
        most = meeting(tmp_path, f"{task.task_id}{ds}", 4, 12)
        with (tmp_path / "most").open("a") as file:
            file.write(f"{most}\n")

    for number in range(4):
        PythonOperator(task_id=f"t{number}", python_callable=work, dag=dag)
    assert run(dag, 3).succeeded
    assert max(map(int, (tmp_path / "most").read_text().split())) == 4


def test_pools_bound_what_runs_at_once(tmp_path: Path) -> None:
    PoolStore(Deployment.of().database).put("narrow", 2)
    dag = dag_of()

    def work(ds: str, task: Any) -> None:
        most = meeting(tmp_path, f"{task.task_id}{ds}", 2, 5)
        (tmp_path / f"most-{task.task_id}").write_text(str(most))

    for number in range(5):
        PythonOperator(task_id=f"t{number}", python_callable=work, dag=dag, pool="narrow")
    assert run(dag).succeeded
    assert max(int(path.read_text()) for path in tmp_path.glob("most-*")) == 2


def test_a_failing_task_is_tried_again_and_its_callbacks_are_called(tmp_path: Path) -> None:
    def tell(name: str) -> Any:
        def note(ds: str, try_number: int, exception: str | None = None) -> None:
            with (tmp_path / "told").open("a") as file:
                file.write(f"{name} {ds} {try_number}{' ' + exception.splitlines()[-1] if exception else ''}\n")

        return note

    def fail() -> None:
        raise ValueError("no such luck")

    dag = dag_of()
    calls = {f"on_{name}_callback": tell(name) for name in ("retry", "failure", "success")}
    PythonOperator(task_id="bad", python_callable=fail, dag=dag, retries=2, retry_delay=0.05, **calls)
    PythonOperator(task_id="good", python_callable=noop, dag=dag, retries=2, **calls)
    assert states(run(dag)) == {"bad": "failed", "good": "success"}
    assert sorted((tmp_path / "told").read_text().splitlines()) == [
        "failure 2016-02-22 3 ValueError: no such luck",
        "retry 2016-02-22 1 ValueError: no such luck",
        "retry 2016-02-22 2 ValueError: no such luck",
        "success 2016-02-22 1",
    ]
    tries = attempts(dag, "bad")
    assert [(one.try_number, one.state) for one in tries] == [(number, TaskState.FAILED) for number in (1, 2, 3)]
    assert len({one.attempt_uuid for one in tries}) == 3
    assert all(one.error and "no such luck" in one.error for one in tries)
    log = (Deployment.of().logs / "etl/bad/2016-02-22T00:00:00").read_text()
    assert log.count("New run starting @") == 1
    assert "Retry run 1 out of 2 starting @" in log
    assert "Retry run 2 out of 2 starting @" in log


@pytest.mark.parametrize(
    ("error", "state", "tries"),
    [(TaskFailedPermanently, "failed", 1), (TaskSkipped, "skipped", 1), (SystemExit, "failed", 3)],
)
def test_user_code_may_say_how_it_ends(error: type[BaseException], state: str, tries: int) -> None:
    def work() -> None:
        raise error("because")

    dag = dag_of()
    PythonOperator(task_id="says", python_callable=work, dag=dag, retries=2, retry_delay=0)
    assert states(run(dag)) == {"says": state}
    assert len(attempts(dag, "says")) == tries


def test_the_crash_of_a_task_is_a_failure_with_its_signal_and_other_tasks_go_on(tmp_path: Path) -> None:
    dag = dag_of()

    def crash() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    PythonOperator(task_id="crash", python_callable=crash, dag=dag, retries=1, retry_delay=0)
    noted(dag, "other", tmp_path)
    assert states(run(dag)) == {"crash": "failed", "other": "success"}
    first, second = attempts(dag, "crash")
    assert (first.exit_code, first.error) == (-signal.SIGKILL, "its process was ended by signal SIGKILL")
    assert second.exit_code == -signal.SIGKILL


def test_values_branches_and_copies_come_together() -> None:
    with dag_of() as dag:

        @task
        def numbers() -> list[int]:
            return [3, 4, 5]

        @task
        def square(number: int) -> int:
            return number * number

        @task
        def total(values: list[int]) -> int:
            return sum(values)

        found = total(square.expand(number=numbers()))
        branch = BranchOperator(lambda ti: "big" if ti.xcom_pull("total") > 40 else "small", task_id="branch")
        found >> branch >> [EmptyOperator(task_id="big"), EmptyOperator(task_id="small")]
    summary = run(dag)
    assert summary.succeeded
    found_states = states(summary)
    assert found_states.pop("small") == "skipped"
    assert sorted(found_states) == ["big", "branch", "numbers", "square[0]", "square[1]", "square[2]", "total"]
    assert set(found_states.values()) == {"success"}


def test_a_short_circuit_skips_all_that_comes_after_it() -> None:
    with dag_of() as dag:
        stop = ShortCircuitOperator(lambda: False, task_id="stop")
        stop >> EmptyOperator(task_id="a") >> EmptyOperator(task_id="b", trigger_rule="all_done")
    summary = run(dag)
    assert states(summary) == {"stop": "success", "a": "skipped", "b": "skipped"}
    assert summary.runs == {"backfill_20160222T000000": RunState.SUCCESS}


@pytest.mark.parametrize(("value", "state"), [([], "skipped"), (7, "failed")])
def test_a_task_that_is_mapped_over_nothing_is_skipped_and_over_no_list_fails(value: Any, state: str) -> None:
    with dag_of() as dag:

        @task
        def numbers() -> Any:
            return value

        @task
        def each(number: int) -> None:
            pass

        each.expand(number=numbers())
    assert states(run(dag)) == {"numbers": "success", "each": state}


def test_a_task_with_dates_of_its_own_is_there_on_those_only(tmp_path: Path) -> None:
    dag = dag_of()
    late = noted(dag, "late", tmp_path, start_date="2016-02-23")
    noted(dag, "a", tmp_path) >> late >> noted(dag, "b", tmp_path)
    summary = run(dag, 2)
    assert summary.counts == {"success": 5}
    assert sorted(ran(tmp_path)) == ["a 2016-02-22", "a 2016-02-23", "b 2016-02-22", "b 2016-02-23", "late 2016-02-23"]


def test_what_runs_too_long_is_stopped() -> None:
    dag = dag_of()
    BashOperator(task_id="slow", bash_command="sleep 60", dag=dag, execution_timeout=0.2)
    assert states(run(dag)) == {"slow": "failed"}
    assert "took longer than 0.2 s" in (attempts(dag, "slow")[0].error or "")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"start": day(2), "end": START}, "ends .* before it starts"),
        ({"start": START.replace(year=2300), "end": START.replace(year=2300)}, "has passed yet"),
        ({"start": START.replace(year=2010), "end": START.replace(year=2011)}, "has no logical date"),
        ({"start": START, "task_regex": "nothing"}, "no task that matches 'nothing'"),
        ({"start": START, "task_regex": "("}, "not a regular expression"),
        ({"start": START, "executor": "celery"}, "unknown executor 'celery'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], problem: str) -> None:
    dag = dag_of()
    EmptyOperator(task_id="only", dag=dag)
    with pytest.raises(UsageError, match=problem):
        backfill(Deployment.of(), dag, BackfillOptions(**options), lambda line: None)


def test_dates_whose_interval_has_not_passed_are_left_out() -> None:
    now = datetime.now(UTC)
    dag = DAG("etl", start_date=now - timedelta(hours=36), schedule=timedelta(days=1))
    EmptyOperator(task_id="only", dag=dag)
    lines: list[str] = []
    summary = backfill(Deployment.of(), dag, BackfillOptions(end=now + timedelta(days=3)), lines.append)
    assert summary.counts == {"success": 1}
    assert lines[0] == "Left out: 4 dates whose intervals have not passed."


def test_every_change_of_a_state_leaves_a_row_and_the_run_shows_the_code_it_ran() -> None:
    dag = dag_of()
    EmptyOperator(task_id="only", dag=dag)
    run(dag)
    database = Deployment.of().database
    (made,) = queries.runs(database, "etl")
    told = [one.event for one in queries.events(database, dag_id="etl", run_id=made.run_id)]
    assert told == ["run created", "run running", "queued", "running", "success", "run success"]
    assert made.source_digest is not None
    assert source_of(database, made.source_digest) == Path(dag.fileloc).read_text()


def test_logs_lie_where_flux_and_synergy_put_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Copy(Action):
        def run(self) -> None:
            self.log.info("copied")

    monkeypatch.setenv("ELASTIC__LOGS__FLOW_FOLDER", str(tmp_path / "flows"))
    dag = dag_of()

    def work() -> None:
        sys.stdout.write("printed\n")

    PythonOperator(task_id="load", python_callable=work, dag=dag, pre=[Copy("copy")])
    run(dag)
    deployment = Deployment.of()
    lines = (deployment.logs / "etl/load/2016-02-22T00:00:00").read_text().splitlines()
    assert lines[1] == lines[3] == "-" * 80
    assert lines[2].startswith("New run starting @20")
    shape = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \{\w+\.py:\d+\} INFO - (.*)")
    told = [match[1] for line in lines if (match := shape.fullmatch(line))]
    assert told == [
        "",
        "Executing <Task(PythonOperator): load> for 2016-02-22 00:00:00",
        "copied",
        "printed",
        "Task succeeded",
    ]
    assert (tmp_path / "flows/etl/load.log").read_text().splitlines() == [
        "load INFO Executing <Task(PythonOperator): load> for 2016-02-22 00:00:00",
        "load.copy INFO copied",
        "load INFO printed",
        "load INFO Task succeeded",
    ]
    assert (tmp_path / "flows/etl/etl.log").read_text().splitlines() == [
        "etl INFO 20160222: begins",
        "etl INFO 20160222: ended: success",
    ]
    (made,) = queries.runs(deployment.database, "etl")
    of_step = queries.log_lines(deployment.database, "etl", made.run_id, task_id="load")
    assert [f"{one.logger} {one.level} {one.message}" for one in of_step] == (
        (tmp_path / "flows/etl/load.log").read_text().splitlines()
    )
    assert len(queries.log_lines(deployment.database, "etl", made.run_id)) == 2
    assert (deployment.logs / "etl/load/2016-02-22T00:00:00").stat().st_mode & 0o777 == 0o600
