"""Home page: the list of DAGs, its filters, its banners, and its actions."""

import re
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.stores.dags import cursor_of, set_import_errors, set_paused
from elastic.db.stores.jobs import MASTER_JOB, start_job
from tests.web.web_client import WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]

_ROW = re.compile(r'<tr id="dag-([^"]+)">(.*?)</tr>', re.DOTALL)


def rows(page: str) -> dict[str, str]:
    """Return the rows of the list by DAG."""
    return dict(_ROW.findall(page))


def test_an_empty_installation_says_what_to_do(web: Web, home: Path) -> None:
    page = web("viewer").get("/").text
    assert "No DAGs yet" in page
    assert "elastic dags init" in page
    assert str(home / "dags") in page


def test_a_dag_is_shown_with_owner_tags_schedule_and_version(web: Web, web_database: Database) -> None:
    store_dag(web_database, "daily_etls", owner="ada", tags="etl,nightly")
    store_dag(web_database, "on_demand", schedule=None)
    found = rows(web("viewer").get("/").text)
    assert list(found) == ["daily_etls", "on_demand"]
    for text in ("/dags/daily_etls", ">ada<", ">etl<", ">nightly<", "@daily", ">v1<", "2 tasks", "no runs yet"):
        assert text in found["daily_etls"]
    assert "on demand" in found["on_demand"]


def test_the_next_page_of_a_filtered_list_is_filtered_too(web: Web, web_database: Database) -> None:
    for number in range(51):
        store_dag(web_database, f"etl{number:02}", owner="ada")
    store_dag(web_database, "other", owner="bob")
    client = web("viewer")
    url = "/?q=etl&owner=ada"
    assert len(rows(client.get(url).text)) == 50
    following = re.search(r'href="([^"]+)"[^>]*>Next', client.get(url).text)
    assert following is not None
    assert following[1] == "/?q=etl&amp;owner=ada&amp;after=etl49"
    assert list(rows(client.get(following[1].replace("&amp;", "&")).text)) == ["etl50"]


def test_the_last_runs_are_bars_that_link_to_them(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    for day in range(20):
        state = RunState.FAILED if day == 15 else RunState.RUNNING if day == 19 else RunState.SUCCESS
        store_run(web_database, day=day, state=state, seconds=10 * (day + 1))
    row = rows(web("viewer").get("/").text)["etl"]
    links = re.findall(r'<a href="([^"]+)" class="(s-\w+)"><title>([^<]+)</title>', row)
    assert len(links) == 14
    assert links[0][:2] == ("/dags/etl/runs/scheduled_20261107T000000", "s-success")
    assert links[9] == (
        "/dags/etl/runs/scheduled_20261116T000000",
        "s-failed",
        "2026-11-16 00:00:00: failed, took 2 min 40 s",
    )
    assert links[13][1] == "s-running"
    heights = [int(height) for height in re.findall(r'height="(\d+)" rx', row)]
    assert max(heights) == heights[13] == 26
    assert min(heights) >= 5


def test_the_tasks_of_the_last_run_are_counted_by_state(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    store_run(web_database, day=0, tasks=[("first", TaskState.FAILED)])
    store_run(web_database, day=1, tasks=[("first", TaskState.SUCCESS), ("second", None)])
    row = rows(web("viewer").get("/").text)["etl"]
    assert re.findall(r'title="(1 [\w ]+)"', row) == ["1 success", "1 not decided"]


def test_filters_are_in_the_address_and_combine(web: Web, web_database: Database) -> None:
    store_dag(web_database, "etl_daily", owner="ada", tags="etl")
    store_dag(web_database, "etl_hourly", owner="Max", tags="etl,slow")
    store_dag(web_database, "report", owner="max", tags="slower")
    store_run(web_database, "etl_hourly", state=RunState.FAILED)
    store_run(web_database, "report", state=RunState.RUNNING)
    set_paused(web_database, "report", paused=True)
    client = web("viewer")

    def shown(query: str) -> list[str]:
        return list(rows(client.get(f"/?{query}").text))

    assert shown("q=ETL") == ["etl_daily", "etl_hourly"]
    assert shown("q=max") == ["etl_hourly", "report"]
    assert shown("q=%25") == shown("q=_x") == []
    assert shown("tag=slow") == ["etl_hourly"]
    assert shown("owner=max") == ["report"]
    assert shown("state=failed") == ["etl_hourly"]
    assert shown("state=running") == ["report"]
    assert shown("paused=1") == ["report"]
    assert shown("paused=0&tag=etl&q=daily") == ["etl_daily"]
    assert "No DAG matches" in client.get("/?q=nothing").text
    page = client.get("/").text
    assert [re.sub("<[^>]+>", "", chip) for chip in re.findall(r'<a class="chip".*?</a>', page)] == [
        "all 3",
        "failed recently 1",
        "running 1",
        "paused 1",
    ]


def test_old_failures_are_not_failed_recently(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    store_run(web_database, day=0, state=RunState.FAILED)
    for day in range(1, 15):
        store_run(web_database, day=day)
    assert rows(web("viewer").get("/?state=failed").text) == {}


def test_the_list_has_pages_of_fifty(web: Web, web_database: Database) -> None:
    for number in range(120):
        store_dag(web_database, f"dag_{number:03}")
    client, url, found = web("viewer"), "/", []
    for _ in range(3):
        page = client.get(url).text
        found.append(list(rows(page)))
        following = re.search(r'href="([^"]+)" rel="next"', page)
        url = following[1].replace("&amp;", "&") if following else ""
    assert [len(one) for one in found] == [50, 50, 20]
    assert [one for part in found for one in part] == [f"dag_{number:03}" for number in range(120)]
    assert url == ""


def test_the_number_of_statements_does_not_depend_on_the_number_of_dags(web: Web, web_database: Database) -> None:
    client, statements = web("viewer"), []
    event.listen(web_database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    def count() -> int:
        statements.clear()
        assert client.get("/").status_code == 200
        return len([one for one in statements if one.startswith("SELECT")])

    store_dag(web_database, "dag_0")
    store_run(web_database, "dag_0", tasks=[("first", TaskState.SUCCESS)])
    one = count()
    for number in range(1, 40):
        store_dag(web_database, f"dag_{number}")
        store_run(web_database, f"dag_{number}", tasks=[("first", TaskState.SUCCESS)])
    assert count() == one
    assert one <= 9


def test_an_operator_runs_a_dag_and_comes_back_to_the_same_view(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    client = web("operator")
    page = client.get("/?q=et").text
    assert 'name="back" value="/?q=et"' in page
    answer = client.submit("/dags/etl/trigger", back="/?q=et")
    assert answer.headers["location"] == "/?q=et"
    run = queries.runs(web_database, "etl")[0]
    assert (run.state, run.is_served, run.run_type) == (RunState.QUEUED, True, "manual")
    shown = client.get("/?q=et").text
    assert f"Run {run.run_id} of etl is queued; run it with" in shown
    assert f"Run {run.run_id} of etl is queued;" not in client.get("/?q=et").text, "the message was shown twice"
    logged = queries.events(web_database, dag_id="etl")
    assert {one.owner for one in logged if one.run_id == run.run_id} == {"operator"}


def test_two_clicks_within_a_second_make_two_runs(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    client = web("operator")
    assert [client.submit("/dags/etl/trigger").status_code for _ in range(2)] == [303, 303]
    assert len(queries.runs(web_database, "etl")) == 2


def test_an_unknown_dag_cannot_be_run_or_paused(web: Web) -> None:
    client = web("operator")
    for action in ("trigger", "pause"):
        answer = client.submit(f"/dags/none/{action}", paused="true")
        assert answer.status_code == 404
        assert "DAG &#39;none&#39;" in answer.text


def test_the_switch_pauses_and_resumes(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    client = web("operator")

    def is_paused() -> bool:
        cursor = cursor_of(web_database, "etl")
        assert cursor is not None
        return cursor.is_paused

    assert 'aria-checked="true"' in rows(client.get("/").text)["etl"]
    page = client.followed("/dags/etl/pause", paused="true")
    assert is_paused()
    assert "etl is paused and starts no new runs" in page
    assert 'aria-checked="false"' in rows(page)["etl"]
    client.followed("/dags/etl/pause", paused="false")
    assert not is_paused()


def test_a_viewer_sees_no_buttons(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    row = rows(web("viewer").get("/").text)["etl"]
    assert "<form" not in row
    assert "disabled" in row


def test_a_broken_file_is_named_with_its_reason(web: Web, web_database: Database) -> None:
    reason = "line 3: ModuleNotFoundError: No module named 'oracledb'\nTraceback ..."
    set_import_errors(web_database, {"/dags/old.py": reason})
    page = web("viewer").get("/").text
    assert "1 file is broken." in page
    assert "/dags/old.py: line 3: ModuleNotFoundError: No module named &#39;oracledb&#39;" in page


def test_a_missing_master_is_said_until_one_lives(web: Web, web_database: Database) -> None:
    client = web("viewer")
    assert "No master has started yet." in client.get("/").text
    start_job(web_database, MASTER_JOB)
    assert "No master is alive" not in client.get("/").text


def test_markup_in_every_column_stays_text(web: Web, web_database: Database) -> None:
    payload = """<script>alert(1)</script>"><img src=x onerror=alert(1)>'"""
    store_dag(web_database, owner=payload, tags=f"{payload},b", description=payload, schedule=None)
    set_import_errors(web_database, {f"/dags/{payload}.py": payload})
    page = web("operator").get("/").text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3


def test_a_page_without_javascript_has_all_it_needs(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    page = web("operator").get("/").text
    assert 'action="/dags/etl/trigger"' in page
    assert not re.search(r"\son\w+=|style=|javascript:", page)


def test_a_long_list_is_sent_compressed(web: Web, web_database: Database) -> None:
    for number in range(50):
        store_dag(web_database, f"dag_{number}")
        store_run(web_database, f"dag_{number}")
    answer = web("operator").get("/", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 60 * 1024
    plain = web("operator").get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert list(rows(plain.text)) == list(rows(answer.text))
