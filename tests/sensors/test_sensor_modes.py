"""Contract of sensors: the three modes give the same answer."""

import sys
import types
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import RunState, TaskState
from elastic.db import transitions
from elastic.db.records import TaskInstanceRow
from elastic.hooks import SqliteHook
from elastic.scheduler.commands.planning import new_run
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.trigger_tools import Tools
from elastic.sensors import (
    CommandSensor,
    ExternalTaskSensor,
    FileSensor,
    HivePartitionSensor,
    HttpSensor,
    PokeReturnValue,
    PythonSensor,
    SqlSensor,
    TimeSensor,
)
from elastic.service.example_dags import arrival_dag
from elastic.service.example_dags.arrival_dag import arrival
from tests.sensors.conftest import WebServer
from tests.sensors.sensor_samples import INTERVAL, START, dag_of, waited

#: A sensor, what makes its condition true, and the value that later tasks get.
Case = tuple[BaseOperator, Callable[[], Any], str | None]


@pytest.fixture
def world(tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("ELASTIC_CONN_TABLES", f"sqlite:///{tmp_path}/tables.db")
    monkeypatch.setenv("ELASTIC_CONN_WEB", f"{web.url}/api")
    monkeypatch.setenv("ELASTIC_CONN_HIVE_DEFAULT", "hive2://me@127.0.0.1:10000/default")
    partitions: list[tuple[str]] = []
    monkeypatch.setitem(sys.modules, "impala", types.ModuleType("impala"))
    monkeypatch.setitem(sys.modules, "impala.dbapi", FakeHive(partitions))
    return {"path": tmp_path, "web": web, "partitions": partitions, "patch": monkeypatch}


class FakeHive(types.ModuleType):
    """DB-API module of a Hive server with one table."""

    def __init__(self, partitions: list[tuple[str]]) -> None:
        super().__init__("impala.dbapi")
        self.partitions, self.statements = partitions, list[str]()

    def connect(self, **options: Any) -> "FakeHive":
        return self

    def cursor(self) -> "FakeHive":
        return self

    def execute(self, statement: str) -> None:
        assert statement == "SHOW PARTITIONS warehouse.words PARTITION (ds='2016-02-22')"

    def fetchall(self) -> list[tuple[str]]:
        return self.partitions

    def close(self) -> None:
        """Keep the partitions."""


def file_case(world: dict[str, Any], **settings: Any) -> Case:
    path = world["path"] / "in" / "words.csv"
    path.parent.mkdir()
    path.write_text("a")

    def grow() -> None:
        path.write_text("a,b\n")

    task = FileSensor(task_id="wait", path=f"{path.parent}/*.csv", glob=True, min_size=4, **settings)
    return task, grow, f'"{path}"'


def sql_case(world: dict[str, Any], **settings: Any) -> Case:
    hook = SqliteHook(path=f"{world['path']}/tables.db")
    hook.run("create table words (word text, day text)")
    task = SqlSensor(
        task_id="wait", conn_id="tables", sql="select count(*) from words where day = '{{ ds }}'", **settings
    )
    return task, lambda: hook.run("insert into words values ('a', '2016-02-22')"), None


def http_case(world: dict[str, Any], **settings: Any) -> Case:
    web: WebServer = world["web"]
    web.answer("/api/jobs/2016-02-22", b'{"state": "busy"}')
    task = HttpSensor(task_id="wait", conn_id="web", path="jobs/{{ ds }}", pointer="/state", equals="done", **settings)
    return task, lambda: web.answer("/api/jobs/2016-02-22", b'{"state": "done"}'), '"done"'


def external_case(world: dict[str, Any], **settings: Any) -> Case:
    database = Deployment.of().database
    other = dag_of("other")
    run = transitions.ensure_run(
        database,
        new_run("other", other.schedule, other.schedule.interval_of(START - timedelta(days=1)), "manual"),  # type: ignore[arg-type]
    )
    row = TaskInstanceRow(dag_id="other", run_id=run.run_id, task_id="load")
    transitions.ensure_instances(database, [row])

    def succeed() -> None:
        transitions.set_state(database, row.key, TaskState.SUCCESS, expected=[None])

    task = ExternalTaskSensor(
        task_id="wait", external_dag_id="other", external_task_id="load", delta=timedelta(days=1), **settings
    )
    return task, succeed, None


def hive_case(world: dict[str, Any], **settings: Any) -> Case:
    task = HivePartitionSensor(task_id="wait", table="warehouse.words", **settings)
    return task, lambda: world["partitions"].append(("ds=2016-02-22",)), None


def time_case(world: dict[str, Any], **settings: Any) -> Case:
    patch: pytest.MonkeyPatch = world["patch"]
    at = datetime(2016, 2, 23, 6, tzinfo=UTC)
    patch.setattr(Tools, "now", lambda tools: at - timedelta(seconds=INTERVAL))
    return (
        TimeSensor(task_id="wait", target_time=at, **settings),
        lambda: patch.setattr(Tools, "now", lambda _: at),
        None,
    )


def python_case(world: dict[str, Any], **settings: Any) -> Case:
    path: Path = world["path"] / "there"

    async def is_there(ds: str) -> PokeReturnValue:
        return PokeReturnValue(path.exists(), {"day": ds})

    return PythonSensor(is_there, task_id="wait", **settings), path.touch, '{"day":"2016-02-22"}'


def command_case(world: dict[str, Any], **settings: Any) -> Case:
    path: Path = world["path"] / "{{ ds }}"
    task = CommandSensor(task_id="wait", bash_command=f"test -e {path}", **settings)
    return task, (world["path"] / "2016-02-22").touch, None


WITH_TRIGGER = (file_case, sql_case, http_case, external_case, hive_case, time_case)
CASES = [
    *((case, mode) for case in WITH_TRIGGER for mode in ("defer", "reschedule", "poke")),
    *((case, mode) for case in (python_case, command_case) for mode in ("reschedule", "poke")),
]


@pytest.mark.parametrize(("case", "mode"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_a_sensor_gives_the_same_answer_in_each_mode(case: Any, mode: str, world: dict[str, Any]) -> None:
    with dag_of():
        task, come_true, value = case(world, mode=mode, poke_interval=INTERVAL, timeout=60)
    waiter = waited(task, mode, come_true)
    assert (waiter.state, waiter.value) == ("success", value)
    assert waiter.row.try_number == 1


def test_an_external_run_is_waited_for_as_a_whole(world: dict[str, Any]) -> None:
    database = Deployment.of().database
    with dag_of():
        task = ExternalTaskSensor(task_id="wait", external_dag_id="other", poke_interval=INTERVAL)
    other = dag_of("other")

    def succeed() -> None:
        interval = other.schedule.interval_of(START)
        run = transitions.ensure_run(database, new_run("other", other.schedule, interval, "manual"))  # type: ignore[arg-type]
        transitions.set_run_state(database, "other", run.run_id, RunState.SUCCESS)

    assert waited(task, "defer", succeed).state == "success"


def test_the_example_dag_waits_for_its_own_file_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrival.test("2016-02-22").counts == {"success": 3}
    count = len(Path(arrival_dag.__file__ or "").read_text().splitlines()) - 1
    assert f"{count} lines" in capsys.readouterr().out
