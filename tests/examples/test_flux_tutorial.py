"""The tutorial of Flux, line by line."""

import logging
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elastic.dag import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.hooks import MySqlHook, SqlHook
from elastic.operators import MySqlOperator
from elastic.testing import MariaDbServer

ROOT = Path(__file__).resolve().parents[2]
RULE = "-" * 80
STAMP = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \{\w+\.py:\d+\} INFO - "
DAYS = ("2014-09-15", "2014-09-16", "2014-09-17")


def elastic(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the command line on the example DAGs."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "elastic", *words, "-sd", str(ROOT / "examples/dags")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def tutorial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """The URL of the tutorial's tables, and its output."""
    url = f"sqlite:///{tmp_path_factory.mktemp('tutorial')}/tables"
    if request.param == "mariadb":
        server: MariaDbServer = request.getfixturevalue("mariadb_server")
        url = server.create_database()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples/ancestors/flux_tutorial.py")],
        env={
            **{name: value for name, value in os.environ.items() if name != "ELASTIC_HOME"},
            "PYTHONPATH": str(ROOT),
            "ELASTIC_CONN_LOCAL_MYSQL": url,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return url, done.stdout.splitlines()


def test_a_hook_gets_the_records_of_a_query(tutorial: tuple[str, list[str]]) -> None:
    _, printed = tutorial
    assert printed[0] == "[('about', 1.0), ('home', 3.0)]"


def test_an_operator_runs_once_for_each_of_three_dates_and_never_again(tutorial: tuple[str, list[str]]) -> None:
    url, printed = tutorial
    name = "<Task(MySqlOperator): test_task3>"
    ran = [line for line in printed if re.fullmatch(STAMP + f"Executing {re.escape(name)} for .*", line)]
    assert [line.split(" for ")[1] for line in ran] == [f"{day} 00:00:00" for day in DAYS]
    again = [line for line in printed if line.endswith("previously succeeded")]
    assert again == [f"{name} for {day} 00:00:00 previously succeeded" for day in DAYS]
    counted = "select day, count(*) from visits where page = 'home' group by day order by day"
    assert SqlHook(url=url).get_records(counted) == [(day, 1) for day in DAYS]


def test_a_run_begins_with_the_header_of_flux(tutorial: tuple[str, list[str]]) -> None:
    _, printed = tutorial
    head = printed[2:5]
    assert (head[0], head[2]) == (RULE, RULE)
    assert re.fullmatch(r"New run starting @\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", head[1])


def test_a_dag_of_two_tasks_shows_its_tree_what_it_queues_and_a_summary(tutorial: tuple[str, list[str]]) -> None:
    _, printed = tutorial
    at = printed.index("<Task(MySqlOperator): mysql_second>")
    queued = [
        f"Adding to queue: elastic run mysql_example {task} {day}T00:00:00"
        for day in DAYS
        for task in ("mysql_first", "mysql_second")
    ]
    assert printed[at + 1] == "    <Task(MySqlOperator): mysql_first>"
    assert printed[at + 2 : at + 8] == queued
    assert printed[at + 8 : at + 11] == ["Run summary:", "  success: 6", "  runs: 3 success"]


def test_templates_have_the_date_macros_params_and_logic(tutorial: tuple[str, list[str]]) -> None:
    url, _ = tutorial
    rows = SqlHook(url=url).get_records("select day, page, number from visits where page <> 'home' order by day, page")
    guesses = [(day, number) for day, page, number in rows if page == "guess"]
    totals = {day: number for day, page, number in rows if page == "total"}
    # `{% if %}` deletes what was guessed for the first day, before the others guess.
    assert [day for day, _ in guesses] == ["2014-09-16 00:00:00", "2014-09-17 00:00:00"]
    assert all(0 <= number < 1 for _, number in guesses)
    assert len({number for _, number in guesses}) == 2
    assert list(totals) == list(DAYS)
    # 1 about and 3 home by then; then all of these again, and the guesses.
    assert 4 <= totals[DAYS[0]] < 5
    assert totals[DAYS[1]] == pytest.approx(4 + totals[DAYS[0]] + guesses[0][1])


class OldOperator(BaseOperator):
    """Logs the first cell of a query, as operators for Flux do."""

    __mapper_args__ = {"polymorphic_identity": "OldOperator"}  # noqa: RUF012 - as such classes have it
    template_fields = ("sql",)

    def __init__(self, sql, mysql_dbid, *args, **kwargs):  # type: ignore[no-untyped-def]
        super(OldOperator, self).__init__(*args, **kwargs)  # noqa: UP008 - as such classes have it
        self.hook = MySqlHook(mysql_dbid=mysql_dbid)
        self.sql = sql

    def execute(self, execution_date):  # type: ignore[no-untyped-def]
        logging.info("Found: " + str(self.hook.get_records(self.sql)[0][0]))  # noqa: G003 - as such classes do


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlHook:
    """A database under the connection id of the tutorial."""
    url = f"sqlite:///{tmp_path}/tables"
    monkeypatch.setenv("ELASTIC_CONN_LOCAL_MYSQL", url)
    return SqlHook(url=url)


@pytest.mark.usefixtures("tables")
def test_an_operator_written_for_flux_runs_as_it_is(home: Path) -> None:
    day = datetime(2014, 9, 15, tzinfo=UTC)
    OldOperator("select '{{ ds }}'", "local_mysql", task_id="old", owner="max").run(day, day)
    (log,) = home.glob("logs/*/old/2014-09-15T00:00:00")
    assert any(re.fullmatch(STAMP + "Found: 2014-09-15", line) for line in log.read_text().splitlines())


@pytest.mark.parametrize(
    ("macro", "reason"),
    [
        ("macros.hive.latest_partition_for_table('visits')", "macros has no 'hive'"),
        ("macros.latest_partition_for_table('visits')", "macros has no 'latest_partition_for_table'"),
    ],
)
def test_a_template_with_a_macro_of_hive_fails_with_the_name_that_is_missing_and_runs_nothing(
    macro: str, reason: str, tables: SqlHook, home: Path
) -> None:
    tables.run("create table visits (day varchar(30))")
    day = datetime(2014, 9, 15, tzinfo=UTC)
    sql = ["insert into visits values ('one')", f"select '{{{{ {macro} }}}}'"]
    task = MySqlOperator(task_id="hive", sql=sql, mysql_dbid="local_mysql")
    assert list(task.run(day, day).values()) == [TaskState.FAILED]
    (log,) = home.glob("logs/*/hive/2014-09-15T00:00:00")
    assert reason in log.read_text()
    assert tables.get_records("select * from visits") == []


def test_an_operator_of_a_dozen_lines_is_run_like_any_other(tutorial: tuple[str, list[str]]) -> None:
    _, printed = tutorial
    told = [line for line in printed if " on 2014-" in line]
    assert told == [f"[(2,)] on {day} 00:00:00" for day in DAYS]
    lines = (ROOT / "examples/ancestors/flux_tutorial.py").read_text().splitlines()
    begins = lines.index("class CountOperator(BaseOperator):")
    ends = next(at for at, line in enumerate(lines) if line.startswith("def main("))
    assert len([line for line in lines[begins:ends] if line]) <= 12


def test_a_task_of_a_dag_file_is_run_from_the_shell_and_leaves_its_log_where_flux_did(home: Path) -> None:
    done = elastic("run", "example_2", "runme_1", "2014-09-01")
    log = home / "logs/example_2/runme_1/2014-09-01T00:00:00"
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Logging into: {log}" in done.stdout.splitlines()
    said = log.read_text().splitlines()
    executing = "Executing <Task(BashOperator): runme_1> for 2014-09-01 00:00:00"
    assert [line for line in said if re.fullmatch(STAMP + re.escape(executing), line)]
    assert [line for line in said if re.fullmatch(STAMP + "1: 2014-09-01 00:00:00", line)]
    again = elastic("run", "example_2", "runme_1", "2014-09-01")
    assert again.returncode == 0
    assert "previously succeeded" in again.stdout
    assert len(log.read_text().splitlines()) == len(said)


def test_the_thirteen_tasks_of_example_2_run_in_their_order() -> None:
    done = elastic("backfill", "example_2", "-s", "2014-09-01")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, summary, successes, runs = done.stdout.splitlines()
    queued = [line.split()[-2] for line in lines if line.startswith("Adding to queue: elastic run example_2 ")]
    assert sorted(queued[:-2]) == sorted([*(f"runme_{number}" for number in range(10)), "also_run_this"])
    assert queued[-2:] == ["run_this", "run_this_last"]
    assert [summary, successes.strip(), runs.strip()] == ["Run summary:", "success: 13", "runs: 1 success"]
