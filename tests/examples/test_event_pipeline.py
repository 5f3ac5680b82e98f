"""The event pipeline with known answers: a month of events, and the statistics of two organisations."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from elastic.dag import DagBag
from elastic.hooks import SqlHook

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "examples/dags/event_pipeline.py"
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
    found = DagBag(FILE)
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
    bag: DagBag, warehouse: SqlHook, data: KnownData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_VAR_EVENTS", str(data.folder / "events"))
    pipeline = bag.get_dag("event_pipeline")
    loaded = []
    for _ in range(2):
        pipeline.clear(data.first, data.last)
        summary = pipeline.run(data.first, data.last, task_regex="load")
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
    pipeline = bag.get_dag("event_pipeline")
    for _ in range(2):
        pipeline.clear(STATISTICS_DAY, STATISTICS_DAY)
        assert pipeline.run(STATISTICS_DAY, task_regex="count", ignore_dependencies=True).succeeded
        found = warehouse.get_records("select organization_id, day, statistic, value from organization_statistic")
        assert {(organization, name): value for organization, _, name, value in found} == data.statistics
        assert {row[1] for row in found} == {"2016-04-12"}
        assert len(found) == len(data.statistics)


def test_the_windows_of_statistics_begin_and_end_with_their_days(bag: DagBag, warehouse: SqlHook) -> None:
    count_day = bag.get_dag("event_pipeline").get_task("count").python_callable
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


def test_the_example_script_loads_its_own_events_twice_to_the_same_rows() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples/event_pipeline.py")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = [line for line in done.stdout.splitlines() if line.startswith("events of users")]
    assert Counter(told) == {"events of users, organizations, unknown; statistics: (2800, 350, 350, 147)": 2}
