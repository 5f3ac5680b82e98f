"""The event pipeline with known answers: a month of events, and the statistics of two organisations."""

import contextlib
import json
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from elastic.config.options import OPTIONS
from elastic.config.settings import problems
from elastic.dag import DagBag
from elastic.hooks import SqlHook
from tests.command_process import is_alive, until

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples/event_pipeline"
STATISTICS_DAY = datetime(2016, 4, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownData:
    """Events and tables of organisations, with the answers to them."""

    folder: Path
    days: int
    rows: dict[str, int]
    paid: Decimal
    statistics: dict[tuple[int, str], float]

    @property
    def first(self) -> datetime:
        return datetime(2016, 2, 21, tzinfo=UTC)

    @property
    def last(self) -> datetime:
        return self.first + timedelta(days=self.days - 1)


SMALL = KnownData(
    folder=Path(__file__).parent / "pipeline_data",
    days=3,
    rows={"user_event": 6, "organization_payment": 3, "organization_event": 2, "unknown_event": 3},
    paid=Decimal("100120.00"),
    statistics={
        # Ten weeks hold a third login, a second longer ago than a week: two weeks, rounded up.
        (1, "logins_past_week"): 2.0,
        (1, "average_weekly_logins"): 1.5,
        (1, "num_support_tickets_past_month"): 1.0,
        # The first message is older than ten weeks, so the second and the third are divided by ten.
        (2, "twitter_messages_sent_past_week"): 1.0,
        (2, "average_weekly_twitter_messages_sent"): 0.2,
        (2, "amount_paid_past_month"): 10.75,
    },
)
MONTH = KnownData(
    folder=ROOT.parent / "shared/data",
    days=30,
    rows={"user_event": 14_050, "organization_payment": 289, "organization_event": 187, "unknown_event": 184},
    paid=Decimal("146684239.76"),
    statistics={
        (1, "logins_past_week"): 1.0,
        (1, "average_weekly_logins"): 1.0,
        (1, "twitter_messages_sent_past_week"): 1.0,
        (1, "average_weekly_twitter_messages_sent"): 1.0,
        (1, "num_support_tickets_past_month"): 2.0,
        (2, "logins_past_week"): 2.0,
        (2, "average_weekly_logins"): 2.0,
        (2, "facebook_messages_sent_past_week"): 1.0,
        (2, "average_weekly_facebook_messages_sent"): 1.0,
        (2, "linkedin_messages_sent_past_week"): 1.0,
        (2, "average_weekly_linkedin_messages_sent"): 1.0,
        (2, "num_support_tickets_past_month"): 1.0,
    },
)
needs_month = pytest.mark.skipif(not MONTH.folder.is_dir(), reason=f"the sample data is not in {MONTH.folder}")
# Each kind of database gets few events, and one kind many.
each_data = pytest.mark.parametrize(
    ("data", "warehouse"),
    [
        *(pytest.param(SMALL, kind, id=f"three days, {kind}") for kind in ("sqlite", "postgres", "mariadb")),
        pytest.param(MONTH, "sqlite", id="a month, sqlite", marks=needs_month),
    ],
    indirect=["warehouse"],
)


@pytest.fixture
def bag() -> DagBag:
    found = DagBag(FOLDER / "workflows")
    assert found.import_errors == {}
    return found


@pytest.fixture
def warehouse(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bag: DagBag) -> SqlHook:
    """A database of the requested kind, with the tables of the pipeline."""
    kind = getattr(request, "param", "sqlite")
    server = None if kind == "sqlite" else request.getfixturevalue(f"{kind}_server")
    url = server.create_database() if server else f"sqlite:///{tmp_path}/warehouse.db"
    monkeypatch.setenv("ELASTIC_CONN_WAREHOUSE", url)
    assert bag.get_dag("event_tables").run().succeeded
    return SqlHook("warehouse")


def rows_of(hook: SqlHook) -> dict[str, list[tuple[Any, ...]]]:
    """Return all loaded rows, in a form that is equal on every database."""
    found = {}
    for table in SMALL.rows:
        rows = hook.get_records(f"select * from {table} order by id")
        found[table] = [tuple(_plain(value) for value in row) for row in rows]
    return found


def _plain(value: Any) -> Any:
    return f"{value:.2f}" if isinstance(value, (Decimal, float)) else value


def expected_rows(data: KnownData) -> dict[str, set[tuple[str, str]]]:
    """Return the table and the rows that a plain loop finds: id and event, or day and body where no table fits."""
    found: dict[str, set[tuple[str, str]]] = {table: set() for table in data.rows}
    for path in (data.folder / "events").iterdir():
        for line in path.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            is_whole = {"event_id", "timestamp", "event"} <= event.keys()
            if is_whole and "user_id" in event:
                table = "user_event"
            elif not is_whole or "organization_id" not in event:
                found["unknown_event"].add((path.name[:10], json.dumps(event, sort_keys=True)))
                continue
            else:
                table = "organization_payment" if "extra_data" in event else "organization_event"
            found[table].add((event["event_id"], event["event"]))
    return found


@each_data
def test_events_are_loaded_by_a_flow_for_each_day_and_loading_them_twice_changes_nothing(
    bag: DagBag, warehouse: SqlHook, data: KnownData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELASTIC_VAR_EVENTS", str(by_date(data.folder / "events", tmp_path)))
    pipeline = bag.get_dag("daily_etls")
    loaded = []
    for _ in range(2):
        pipeline.clear(data.first, data.last)
        summary = pipeline.run(data.first, data.last, task_regex="load", ignore_dependencies=True)
        assert summary.counts == {"success": data.days}
        loaded.append(rows_of(warehouse))
    rows, again = loaded
    assert rows == again
    assert {table: len(found) for table, found in rows.items()} == data.rows
    assert sum(Decimal(row[4]) for row in rows["organization_payment"]) == data.paid
    expected = expected_rows(data)
    assert {tuple(row[1:]) for row in rows["unknown_event"]} == expected.pop("unknown_event")
    columns = {"user_event": 3, "organization_payment": 3, "organization_event": 3}
    for table, name in columns.items():
        assert {(row[0], row[name]) for row in rows[table]} == expected[table]
    # Event names that contain SQL are data.
    assert any("DROP TABLE" in str(row) for table in ("user_event", "unknown_event") for row in rows[table])


@each_data
def test_the_statistics_of_a_day_are_the_known_ones_and_counting_twice_changes_nothing(
    bag: DagBag, warehouse: SqlHook, data: KnownData
) -> None:
    for path in sorted((data.folder / "organisations").glob("*.csv")):
        warehouse.load_csv(path, path.stem)
    pipeline = bag.get_dag("daily_etls")
    for _ in range(2):
        pipeline.clear(STATISTICS_DAY, STATISTICS_DAY)
        assert pipeline.run(STATISTICS_DAY, task_regex="count", ignore_dependencies=True).succeeded
        found = warehouse.get_records("select organization_id, day, statistic, value from organization_statistic")
        assert {(organization, name): value for organization, _, name, value in found} == data.statistics
        assert {row[1] for row in found} == {"2016-04-12"}
        assert len(found) == len(data.statistics)


def test_the_windows_of_statistics_begin_and_end_with_their_days(bag: DagBag, warehouse: SqlHook) -> None:
    count_day = bag.get_dag("daily_etls").get_task("count").python_callable
    warehouse.insert_rows("organization", [(1,)], ["organization_id"])
    warehouse.insert_rows("organization_user", [(1, 7)], ["organization_id", "user_id"])
    logins = ["2016-01-21 23:59:59", "2016-01-22 00:00:00", "2016-03-24 23:59:59", "2016-03-25 00:00:00"]
    logins += ["2016-03-31 23:59:59", "2016-04-01 00:00:00"]
    events = [(str(number), instant, 7, "web_login") for number, instant in enumerate(logins)]
    warehouse.insert_rows("user_event", events, ["id", "timestamp", "user_id", "event"])
    # 8 days begin a second week, and 7 do not.
    messages = [("2016-03-24 00:00:00", "Twitter"), ("2016-03-31 12:00:00", "Twitter"), ("2016-03-25 00:00:00", "X")]
    events = [(instant, instant, 7, "message_sent", network) for instant, network in messages]
    warehouse.insert_rows("user_event", events, ["id", "timestamp", "user_id", "event", "social_network_type"])
    tickets = ["2016-02-29 23:59:59", "2016-03-01 00:00:00", "2016-03-31 23:59:59", "2016-04-01 00:00:00"]
    events = [(str(number), instant, 1, "file_support_ticket") for number, instant in enumerate(tickets)]
    warehouse.insert_rows("organization_event", events, ["id", "timestamp", "organization_id", "event"])
    # The week, the ten weeks and the month that end with 31 March; the first login is older than ten weeks.
    assert count_day("2016-03-31") == 7
    wanted = "select statistic, value from organization_statistic where day = :day"
    assert dict(warehouse.get_records(wanted, {"day": "2016-03-31"})) == {
        "logins_past_week": 2.0,
        "average_weekly_logins": 0.4,
        "twitter_messages_sent_past_week": 1.0,
        "average_weekly_twitter_messages_sent": 1.0,
        "x_messages_sent_past_week": 1.0,
        "average_weekly_x_messages_sent": 1.0,
        "num_support_tickets_past_month": 2.0,
    }


def test_a_job_answers_with_a_code(warehouse: SqlHook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ELASTIC_VAR_EVENTS", str(by_date(SMALL.folder / "events", tmp_path)))
    for job, result in (
        ("event_load", {"organization_event": 1, "organization_payment": 1, "unknown_event": 2, "user_event": 3}),
        ("organization_statistics", 0),
    ):
        done = _run(FOLDER / "workflows" / f"{job}.py", "--runDate", "2016-02-21")
        assert json.loads(done.stdout) == {"code": 200, "runDate": "2016-02-21", "result": result}
        done = _run(FOLDER / "workflows" / f"{job}.py", "-r", "2016-02-30")
        assert (done.returncode, json.loads(done.stdout)["code"]) == (1, 500)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("2016-02-21aa", "talk/2016/02/21/aa.txt"),
        ("2016-02-21ab.jsonl", "talk/2016/02/21/ab.txt"),
        ("2016-02-21", None),
        ("../2016-02-21aa", None),
        ("notes.txt", None),
    ],
)
def test_a_file_of_events_has_a_key_below_its_date(name: str, key: str | None) -> None:
    assert runpy.run_path(str(FOLDER / "s3_load.py"))["key_of"](name, "talk/") == key


def test_files_are_copied_to_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    server_module = pytest.importorskip("moto.server", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test-key")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="events")
        done = _run(FOLDER / "s3_load.py", "--source_dir", str(SMALL.folder / "events"), "--bucket", "events")
        assert done.stdout.splitlines()[:2] == [
            "s3://events/talk/2016/02/21/aa.txt",
            "s3://events/talk/2016/02/21/ab.txt",
        ]
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_configuration_is_valid_and_has_no_secret(name: str, home: Path) -> None:
    shutil.copy(FOLDER / "config" / f"{name}.toml", home / "elastic.toml")
    assert problems() == []
    options = {option.name for option in OPTIONS if option.is_secret}
    given = {f"{section}.{key}" for section, keys in _toml(home / "elastic.toml").items() for key in keys}
    assert not given & options


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_plays_five_days_and_leaves_nothing() -> None:
    done = _run(FOLDER / "demo.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Subject: [elastic] failed: daily_etls.load 2016-02-24 (try 4 of 4)" in done.stdout
    assert "/dags/daily_etls/runs/scheduled_20160224T000000/tasks/load?try=4" in done.stdout
    assert "dead letters: 1 tried again, 0 left" in done.stdout
    assert "user_event 1750, organization_payment 250, organization_event 250, unknown_event 250" in done.stdout
    _check_nothing_is_left(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_leaves_nothing_after_ctrl_c() -> None:
    command = [sys.executable, str(FOLDER / "demo.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("  s3://"):
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, "".join(lines) + rest
    _check_nothing_is_left("".join(lines))


def test_the_service_of_a_demo_that_is_killed_ends(home: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
import demo, pathlib, signal
with demo.service(pathlib.Path({str(home)!r}), demo.free_port()) as process:
    print(process.pid, flush=True)
    signal.pause()
"""
    demo = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert demo.stdout is not None
    service = int(demo.stdout.readline())
    assert is_alive(service)
    demo.kill()
    demo.communicate()
    until(lambda: not is_alive(service))


def test_a_demo_whose_service_ends_prints_the_end_of_its_log(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    log = tmp_path / "service.log"
    log.write_text("error: the port is in use\n")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        story = runpy.run_path(str(FOLDER / "demo.py"))["Story"](process, log)
        with pytest.raises(SystemExit, match=r"(?s)the mail did not happen\..*error: the port is in use"):
            story.wait("the mail", lambda: False)


def _check_nothing_is_left(printed: str) -> None:
    """Check that the folder of a demo is gone, and all processes that were started with it."""
    (home,) = re.findall(r"^home ([^,]+),", printed, re.MULTILINE)
    assert not Path(home).exists()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            assert f"ELASTIC_HOME={home}".encode() not in path.read_bytes(), path


def by_date(source: Path, target: Path) -> Path:
    """Copy files of events below their dates, as in the bucket, and return the folder of all of them."""
    key_of = runpy.run_path(str(FOLDER / "s3_load.py"))["key_of"]
    for path in source.iterdir():
        copy = target / key_of(path.name, "talk")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target / "talk"


def _run(script: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=500, check=False
    )


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
