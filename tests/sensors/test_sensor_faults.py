"""Sensors with bad settings, conditions that cannot be checked, and waits that end in another way."""

import json
import math
import socket
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from elastic.core.errors import UsageError
from elastic.dag import DAG
from elastic.dag.errors import DefinitionError, SensorError
from elastic.dag.execution.wait import Answer, CheckFailure
from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.hooks import FileHook, HiveHook
from elastic.hooks.errors import RefusedError, UnreachableError
from elastic.hooks.hive import partition_columns
from elastic.operators import EmptyOperator, task
from elastic.scheduler.commands.why import wait_reason
from elastic.scheduler.deployment import Deployment
from elastic.sensors import (
    BaseSensor,
    CommandSensor,
    DayOfWeekSensor,
    ExternalTaskSensor,
    FileSensor,
    HttpSensor,
    PythonSensor,
    SqlSensor,
    TimeDeltaSensor,
)
from elastic.service.triggerer.check_schedule import Question
from elastic.service.triggerer.check_threads import CheckThreads
from elastic.triggers.registry import trigger_of
from elastic.triggers.sql import is_not_yet
from elastic.triggers.trigger import Trigger, TriggerTools
from tests.sensors.conftest import WebServer
from tests.sensors.sensor_samples import INTERVAL, Waiter, dag_of, waited


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"poke_interval": 0}, "poke_interval must be a timedelta or a number of seconds > 0, got 0"),
        ({"poke_interval": -1.0}, "poke_interval must be"),
        ({"poke_interval": math.nan}, "poke_interval must be"),
        ({"poke_interval": "5"}, "poke_interval must be"),
        ({"poke_interval": True}, "poke_interval must be"),
        ({"poke_interval": 20, "timeout": 10}, "poke_interval must be at most the timeout of 10 s, got 20"),
        ({"timeout": 0}, "timeout must be"),
        ({"max_wait": math.inf}, "max_wait must be"),
        ({"silent_errors": -1}, "silent_errors must be a whole number >= 0"),
        ({"mode": "sleep"}, "mode must be one of poke, reschedule, defer"),
        ({"mode": "defer"}, "mode must be 'reschedule' or 'poke', because the class has no trigger"),
        ({"python_callable": 3}, "python_callable must be a function"),
        ({"poke_interval": 1e300, "timeout": None}, "poke_interval must be"),
        ({"timeout": 1e300}, "timeout must be at most 100 years"),
        ({"soft_fail": "no"}, "soft_fail must be True or False"),
        ({"silent_errors": True}, "silent_errors must be a whole number >= 0"),
    ],
)
def test_an_invalid_setting_is_refused_when_the_dag_is_defined(settings: dict[str, Any], expected: str) -> None:
    with dag_of(), pytest.raises(DefinitionError, match=expected):
        PythonSensor(**{"task_id": "wait", "python_callable": bool, **settings})


@pytest.mark.parametrize(
    ("make", "settings", "expected"),
    [
        (FileSensor, {"path": None}, "path must be a string that is not empty, got None"),
        (FileSensor, {"path": "x", "stable_for": math.nan}, "stable_for must be"),
        (FileSensor, {"path": "x", "stable_for": "5"}, "stable_for must be"),
        (FileSensor, {"path": "x", "min_size": -1}, "min_size must be a whole number >= 0"),
        (HttpSensor, {"conn_id": "x", "status": "200"}, "status must be a whole number"),
        (HttpSensor, {"conn_id": "x", "equals": 3}, "equals must be given together with pointer"),
        (HttpSensor, {"conn_id": "x", "pointer": "state"}, "pointer must be a string that begins with '/'"),
        (HttpSensor, {"path": None}, "needs conn_id, or a whole URL as path, got None"),
        (ExternalTaskSensor, {"external_dag_id": "x", "delta": 3600}, "delta must be a timedelta or a function"),
        (ExternalTaskSensor, {"external_dag_id": "x", "external_task_id": []}, "external_task_id must be"),
        (ExternalTaskSensor, {"external_dag_id": "x", "states": "success"}, "states must be a list of states"),
        (
            ExternalTaskSensor,
            {"external_dag_id": "x", "states": ["failed"], "failed_states": ["failed"]},
            "failed_states must be without the states that are waited for, got 'failed'",
        ),
        (CommandSensor, {"bash_command": None}, "bash_command must be a string"),
        (CommandSensor, {"bash_command": "true", "not_yet_codes": [0]}, "not_yet_codes must be a list of exit codes"),
        (SqlSensor, {"sql": None, "conn_id": "x"}, "sql must be a string"),
        (TimeDeltaSensor, {"delta": 1e15}, "delta must be a timedelta or a number of seconds"),
    ],
)
def test_an_invalid_setting_of_a_built_in_sensor_is_refused(
    make: type[BaseSensor], settings: dict[str, Any], expected: str
) -> None:
    with dag_of(), pytest.raises(DefinitionError, match=expected):
        make(task_id="wait", **settings)


def test_default_args_may_be_overridden_by_false_and_name_each_setting() -> None:
    with DAG("etl", start_date="2016-02-22", default_args={"soft_fail": True, "exponential_backoff": True}):
        given = FileSensor(task_id="given", path="x")
        own = FileSensor(task_id="own", path="x", soft_fail=False, exponential_backoff=False)
    assert (given.soft_fail, given.exponential_backoff) == (True, True)
    assert (own.soft_fail, own.exponential_backoff) == (False, False)


def test_the_output_of_a_task_may_be_the_path_of_a_sensor() -> None:
    with dag_of():
        arrived = FileSensor(task_id="arrived", path=EmptyOperator(task_id="name").output)
        ready = HttpSensor(task_id="ready", path=EmptyOperator(task_id="url").output)
    assert [one.task_id for sensor in (arrived, ready) for one in sensor.upstream_list] == ["name", "url"]


def test_states_that_are_waited_for_do_not_fail_the_sensor() -> None:
    with dag_of():
        sensor = ExternalTaskSensor("other", task_id="wait", states=["success", "failed"])
    assert sensor.failed_states == ("upstream_failed", "removed")


def test_default_args_give_the_settings_of_sensors_and_none_is_no_timeout() -> None:
    settings = {"poke_interval": timedelta(minutes=1), "timeout": 3600, "mode": "poke"}
    with DAG("etl", start_date="2016-02-22", default_args=settings):
        given = FileSensor(task_id="given", path="x")
        own = FileSensor(task_id="own", path="x", timeout=None, mode="defer")
    assert (given.poke_interval, given.timeout, given.mode) == (60.0, 3600.0, "poke")
    assert (own.timeout, own.mode) == (None, "defer")
    with dag_of():
        plain = FileSensor(task_id="plain", path="x")
    assert (plain.poke_interval, plain.timeout, plain.mode) == (5.0, 604800.0, "defer")


@pytest.mark.parametrize("returned", [None, "no", 1, []], ids=str)
def test_a_poke_that_returns_no_truth_value_fails_at_once(returned: Any) -> None:
    with dag_of():
        sensor = PythonSensor(lambda: returned, task_id="wait", silent_errors=5)
    waiter = Waiter.of(sensor, max_tries=3)
    waiter.slice()
    assert waiter.state == "failed"
    assert f"must return True, False or PokeReturnValue, got {returned!r}" in waiter.error


def test_a_decorated_function_is_a_sensor_with_a_value() -> None:
    from elastic.sensors import PokeReturnValue

    @task.sensor(poke_interval=INTERVAL, timeout=30)  # type: ignore[untyped-decorator]
    def arrived(ds: str, name: str) -> PokeReturnValue:
        return PokeReturnValue(is_done=True, xcom_value=f"{name}/{ds}")

    with dag_of() as dag:
        arrived(name="in")
    waiter = Waiter.of(dag.get_task("arrived"))
    waiter.slice()
    assert (waiter.state, waiter.value) == ("success", '"in/2016-02-22"')


@pytest.mark.parametrize("mode", ["defer", "reschedule"])
def test_a_timeout_fails_the_attempt_and_a_retry_waits_anew(mode: str, tmp_path: Path) -> None:
    with dag_of():
        sensor = FileSensor(
            task_id="wait", path=str(tmp_path / "x"), mode=mode, poke_interval=0.1, timeout=0.2, retries=1
        )
    sensor.retry_delay = timedelta(0)
    waiter = Waiter.of(sensor, mode, max_tries=2)
    assert waiter.to_end() == "up_for_retry"
    assert "timed out, because its timeout of 0.2 s has passed" in waiter.error
    assert f"there is no file '{tmp_path}/x'" in waiter.error
    waiter.slice()
    assert waiter.state == {"defer": "deferred", "reschedule": "up_for_reschedule"}[mode]
    assert waiter.to_end() == "failed"
    assert waiter.row.try_number == 2


@pytest.mark.parametrize("mode", ["defer", "reschedule", "poke"])
def test_soft_fail_skips_instead_of_failing(mode: str, tmp_path: Path) -> None:
    with dag_of():
        sensor = FileSensor(
            task_id="wait", path=str(tmp_path / "x"), mode=mode, poke_interval=0.05, timeout=0.1, soft_fail=True
        )
    waiter = Waiter.of(sensor, mode)
    assert waiter.to_end() == "skipped"
    assert "soft_fail: the sensor timed out" in waiter.error


@pytest.mark.parametrize("mode", ["defer", "reschedule", "poke"])
def test_errors_in_a_row_are_tolerated_up_to_their_number(mode: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("ELASTIC_CONN_TABLES", f"sqlite:///{tmp_path}/tables.db")
    with dag_of():
        sensor = SqlSensor(
            task_id="wait", conn_id="tables", sql="select x from y", mode=mode, poke_interval=INTERVAL, silent_errors=2
        )
    waiter = Waiter.of(sensor, mode)
    assert waiter.to_end() == "failed"
    assert "no such table: y" in waiter.error


def test_a_refusal_is_never_not_yet(web: WebServer) -> None:
    web.answer("/secret", status=403)
    with dag_of():
        sensor = HttpSensor(task_id="wait", path=f"{web.url}/secret", silent_errors=9)
    waiter = Waiter.of(sensor)
    waiter.slice()
    assert waiter.state == "failed"
    assert "refused the request with status 403" in waiter.error


def test_a_template_that_cannot_be_rendered_fails_at_once() -> None:
    with dag_of():
        sensor = FileSensor(task_id="wait", path="{{ nothing.here }}")
    waiter = Waiter.of(sensor)
    waiter.slice()
    assert waiter.state == "failed"
    assert "cannot be rendered" in waiter.error


def test_arguments_of_a_trigger_have_a_limit_and_are_json() -> None:
    with dag_of():
        long = SqlSensor(task_id="long", conn_id="tables", sql="select 1 -- " + "x" * 70_000)
        odd = SqlSensor(task_id="odd", conn_id="tables", sql="select :x", parameters={"x": object()})
    for sensor, expected in ((long, "70,"), (odd, "no JSON form")):
        waiter = Waiter.of(sensor)
        waiter.slice()
        assert waiter.state == "failed"
        assert expected in waiter.error


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneTrigger(Trigger):
    """Trigger of a package that is not installed where the triggerer runs."""

    kind: ClassVar[str] = "gone"

    def check(self, tools: TriggerTools) -> Answer:
        return Answer(done=False, reason="not yet")


class GoneSensor(BaseSensor):
    def trigger(self) -> GoneTrigger:
        return GoneTrigger()


def test_a_trigger_whose_package_is_gone_fails_with_its_name() -> None:
    with dag_of():
        sensor = GoneSensor(task_id="wait", poke_interval=INTERVAL, silent_errors=9)
    waiter = Waiter.of(sensor, max_tries=2)
    assert waiter.to_end() == "failed"
    assert "no installed package has a trigger of kind 'gone'" in waiter.error


def test_stored_arguments_that_do_not_fit_are_named() -> None:
    from elastic.dag.errors import SensorError

    with pytest.raises(SensorError, match="the stored arguments do not fit the trigger 'time'"):
        trigger_of("time", {"when": "now"})


def test_an_unknown_dag_or_task_fails_at_the_first_check() -> None:
    database = Deployment.of().database
    with dag_of("known") as known:
        EmptyOperator(task_id="load")
    known.db_merge()
    with dag_of():
        no_dag = ExternalTaskSensor(task_id="dag", external_dag_id="unknown")
        no_task = ExternalTaskSensor(task_id="task", external_dag_id="known", external_task_id="lod")
        no_run = ExternalTaskSensor(task_id="run", external_dag_id="known", delta=timedelta(hours=1))
    for sensor, expected in ((no_dag, "there is no DAG 'unknown'"), (no_task, "DAG 'known' has no task 'lod'")):
        waiter = Waiter.of(sensor, max_tries=2)
        waiter.slice()
        assert waiter.state == "failed"
        assert expected in waiter.error
    Waiter.of(known.get_task("load"))
    waiter = Waiter.of(no_run)
    result = waiter.slice()
    assert waiter.state == "deferred"
    assert result.wait is not None
    assert result.wait.progress.reason == (
        "DAG 'known' has no run for 2016-02-21 23:00 UTC; nearest: 2016-02-22 00:00 (give delta=)"
    )
    assert database is not None


def test_a_failed_external_task_fails_the_sensor() -> None:
    with dag_of("other"):
        other = Waiter.of(EmptyOperator(task_id="load"))
    transitions.set_state(Deployment.of().database, other.key, TaskState.FAILED, expected=[None])
    with dag_of():
        waiter = Waiter.of(ExternalTaskSensor(task_id="wait", external_dag_id="other", external_task_id="load"))
    waiter.slice()
    assert waiter.state == "failed"
    assert "task 'load' of run" in waiter.error


@pytest.mark.parametrize(
    ("cell", "is_waiting"),
    [(None, True), (0, True), ("0", True), ("", True), (0.0, True), (1, False), ("x", False), ("false", False)],
)
def test_the_first_cell_decides_a_sql_sensor(cell: Any, is_waiting: bool) -> None:
    assert is_not_yet(cell) is is_waiting


def test_http_reads_little_follows_few_redirects_and_none_to_private_addresses(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.answer("/huge", b"[" + b"1," * 2_000_000 + b"1]")
    web.answer("/loop", status=302, location="/loop")
    web.answer("/away", status=302, location="file:///etc/passwd")
    web.answer("/pointed", b'{"a/b": [{"c": 1}]}')
    monkeypatch.setenv("ELASTIC_CONN_WEB", web.url)
    tools = _tools()
    cases = {"huge": "more than 1,048,576 bytes", "loop": "redirects more than 5 times", "away": "is not a public web"}
    for path, expected in cases.items():
        trigger = trigger_of("http", {"connection": "web", "path": path, "pointer": "/0"})
        with pytest.raises(Exception, match=expected):
            trigger.check(tools)
    found = trigger_of("http", {"connection": "web", "path": "pointed", "pointer": "/a~1b/0/c", "equals": 1})
    assert found.check(tools).done
    missing = trigger_of("http", {"connection": "web", "path": "pointed", "pointer": "/a~1b/1"})
    assert missing.check(tools) == Answer(done=False, reason="the answer of 'pointed' has nothing at '/a~1b/1'")
    public = trigger_of("http", {"path": f"{web.url}/inner"})
    web.answer("/inner", status=302, location=f"{web.url}/pointed")
    with pytest.raises(Exception, match="which is not a public web address"):
        public.check(tools)


@pytest.mark.parametrize(
    ("found", "expected", "is_done"),
    [
        ("0", False, False), ("false", 0, False), ("1", True, False), ("1.0", 1, True), ('"1"', 1, False),
        ('{"a": [true]}', {"a": [1]}, False), ('{"a": [1]}', {"a": [1]}, True), ("NaN", 0, False),
        ("[1]", [1, 2], False),
    ],
)  # fmt: skip
def test_a_number_is_no_truth_value_in_json(web: WebServer, found: str, expected: Any, is_done: bool) -> None:
    web.answer("/state", f'{{"is": {found}}}'.encode())
    trigger = trigger_of("http", {"path": f"{web.url}/state", "pointer": "/is", "equals": expected})
    assert trigger.check(_tools()).done is is_done


def test_an_answer_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.triggers.http._MAX_SECONDS", 0.0)
    release = threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
            release.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        try:
            with pytest.raises(TimeoutError, match="the answer took longer"):
                trigger_of("http", {"path": url, "pointer": "/state"}).check(_tools())
        finally:
            release.set()
            thread.join()


def test_an_answer_that_is_cut_off_is_an_error_and_no_body_is_read_for_a_status(web: WebServer) -> None:
    web.answer("/cut", b"{}", Content_Length="1000", Connection="close")
    with pytest.raises(UnreachableError, match="ProtocolError"):
        trigger_of("http", {"path": f"{web.url}/cut", "pointer": "/state"}).check(_tools())
    assert trigger_of("http", {"path": f"{web.url}/cut"}).check(_tools()).done


def _tools() -> Any:
    from elastic.scheduler.trigger_tools import Tools

    return Tools(Deployment.of().database)


def test_a_partition_is_read_and_never_pasted() -> None:
    assert partition_columns("ds='2016-02-22' AND hour=3") == {"ds": "2016-02-22", "hour": "3"}
    assert partition_columns("ds='a and b', x=\"1\"") == {"ds": "a and b", "x": "1"}
    for bad in ("", "ds", "ds='x' or 1=1", "ds='a''b'", "ds=x", "1=1", "ds='x'; drop table y"):
        with pytest.raises(UsageError, match="invalid partition"):
            partition_columns(bad)
    with pytest.raises(UsageError, match="not a valid table name"):
        HiveHook("hive_default").check_for_partition("default", "t; drop", "ds='x'")


def test_files_of_a_connection_stay_below_its_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_CONN_IN", f"file://{tmp_path}")
    (tmp_path / "a.txt").write_text("abc")
    hook = FileHook("in")
    assert [file.path for file in hook.list("a.txt")] == [str(tmp_path / "a.txt")]
    assert hook.size("a.txt") == 3
    with hook.open_read("a.txt") as file:
        assert file.read() == b"abc"
    assert hook.test_connection()
    with pytest.raises(UsageError, match="leaves the root"):
        list(hook.list("../secret"))


def test_a_file_must_be_stable(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("x")
    trigger = trigger_of("file", {"path": str(tmp_path / "new"), "stable_for": 60.0})
    answer = trigger.check(_tools())
    assert not answer.done
    assert "changed 0 s ago, and not 60 s ago" in answer.reason


def test_a_link_to_itself_hides_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    (tmp_path / "b").touch()
    trigger = trigger_of("file", {"path": str(tmp_path / "*"), "glob": True})
    assert trigger.check(_tools()).value == str(tmp_path / "b")


@pytest.mark.parametrize(
    ("status", "error"), [(404, None), (403, RefusedError), (500, UnreachableError), (None, UnreachableError)]
)
def test_a_web_server_without_an_answer_is_no_missing_file(
    web: WebServer, status: int | None, error: type[Exception] | None
) -> None:
    web.answer("/in", status=status or 200)
    path = f"{web.url}/in" if status else "http://127.0.0.1:1/in"
    trigger = trigger_of("file", {"path": path})
    if error is None:
        assert not trigger.check(_tools()).done
        return
    with pytest.raises(error):
        trigger.check(_tools())


def test_a_request_that_cannot_be_made_is_no_server_that_is_away(web: WebServer) -> None:
    for fields in ({"path": "http://127.0.0.1:99999/"}, {"path": web.url, "headers": {"a": "b\r\nc: d"}}):
        with pytest.raises(SensorError, match="cannot be asked; correct the URL or the headers"):
            trigger_of("http", fields).check(_tools())


@dataclass(frozen=True, slots=True, kw_only=True)
class OddTrigger(Trigger):
    kind: ClassVar[str] = "odd"
    found: Any

    def check(self, tools: TriggerTools) -> Any:
        if isinstance(self.found, BaseException):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    "found",
    [
        None,
        Answer(done="no"),  # type: ignore[arg-type]
        Answer(done=False, reason=5),  # type: ignore[arg-type]
        Answer(done=False, check_in=math.nan),
        Answer(done=False, check_in=-5.0),
        SystemExit(3),
    ],
    ids=str,
)
def test_a_trigger_with_an_invalid_answer_fails_its_own_sensor_only(
    found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elastic.service.triggerer.check_threads.trigger_of", lambda *_: OddTrigger(found=found))
    threads = CheckThreads(_tools())
    threads.ask(Question(digest="", kind="odd", arguments="{}", connection="", limit=5.0, queued_at=0.0))
    _, result = threads.results.get(timeout=5)
    assert isinstance(result, CheckFailure)
    if not isinstance(found, BaseException):
        with pytest.raises(SensorError, match="trigger 'odd'"):
            OddTrigger(found=found).answer(_tools())


def test_a_file_whose_age_is_unknown_is_not_called_stable(web: WebServer) -> None:
    web.answer("/new", b"x")
    trigger = trigger_of("file", {"path": f"{web.url}/new", "stable_for": 1.0})
    with pytest.raises(SensorError, match=r"does not tell when .* has changed; leave out stable_for"):
        trigger.check(_tools())


def test_times_are_those_of_the_dag() -> None:
    with DAG("etl", start_date="2016-02-22", timezone="Europe/Berlin"):
        delta = TimeDeltaSensor(task_id="delta", delta=3600)
        with pytest.raises(DefinitionError, match="week_day must be"):
            DayOfWeekSensor(week_day="someday", task_id="day")
        day = DayOfWeekSensor(week_day=["monday", "SUNDAY"], task_id="days")
    context = Waiter.of(delta).task.attempt_info("2016-02-22").data_interval
    assert delta.trigger({"data_interval_end": context.end}).at == "2016-02-23T00:00:00+00:00"
    assert day.trigger().at


def test_a_sensor_with_post_actions_continues_in_a_process(tmp_path: Path) -> None:
    from elastic.dag.execution.action import Action

    class Note(Action):
        def run(self) -> None:
            with (tmp_path / "notes").open("a") as file:
                file.write(self.name)

    with dag_of():
        sensor = FileSensor(
            task_id="wait", path=str(tmp_path / "x"), poke_interval=INTERVAL, pre=Note("a"), post=Note("z")
        )
    waiter = waited(sensor, "defer", (tmp_path / "x").touch)
    assert (waiter.state, (tmp_path / "notes").read_text()) == ("success", "az")
    assert waiter.value == json.dumps(str(tmp_path / "x"))


def test_the_reason_of_a_wait_is_one_sentence(tmp_path: Path) -> None:
    from elastic.db.stores.waits import wait_of

    with dag_of():
        waiter = Waiter.of(FileSensor(task_id="wait", path=str(tmp_path / "x")))
    waiter.slice()
    database = Deployment.of().database
    row = queries.instance(database, waiter.key)
    assert row is not None
    found, _ = wait_of(database, row.attempt_uuid or "")
    assert found is not None
    text = wait_reason(found)
    assert text.startswith("it waits since 20")
    assert f": there is no file '{tmp_path}/x' (1 check, the last on " in text
