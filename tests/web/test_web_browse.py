"""Browse pages: runs, task instances, jobs, events and broken files of all DAGs."""

import re
from collections.abc import Callable

import pytest

from elastic.config.secret_mask import hide
from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.stores.dags import set_import_errors, set_paused
from elastic.db.stores.jobs import MASTER_JOB, start_job
from tests.web.web_client import WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]

_ROW = re.compile(r'<tr id="row-([^"]+)">')


def keys_of_pages(client: WebClient, url: str) -> list[list[str]]:
    """Return the keys of the rows of each page of a list."""
    pages = []
    while url:
        page = client.get(url)
        assert page.status_code == 200, page.text
        pages.append(_ROW.findall(page.text))
        following = re.search(r'href="([^"]+)" rel="next"', page.text)
        url = following[1].replace("&amp;", "&") if following else ""
    return pages


def test_runs_are_listed_latest_first_in_pages_without_gaps(web: Web, web_database: Database) -> None:
    for dag_id in ("a", "b"):
        for day in range(60):
            store_run(web_database, dag_id, day=day)
    pages = keys_of_pages(web("viewer"), "/browse/runs")
    assert [len(page) for page in pages] == [50, 50, 20]
    found = [key for page in pages for key in page]
    assert len(set(found)) == 120
    assert found[:2] == ["b.scheduled_20261230T000000", "a.scheduled_20261230T000000"]


def test_instances_are_listed_by_key_in_pages_and_filtered(web: Web, web_database: Database) -> None:
    for day in range(30):
        states = [("first", TaskState.SUCCESS), ("second", TaskState.FAILED if day == 3 else None)]
        store_run(web_database, "etl", day=day, tasks=states)
    client = web("viewer")
    assert [len(page) for page in keys_of_pages(client, "/browse/instances")] == [50, 10]
    (failed,) = keys_of_pages(client, "/browse/instances?state=failed")
    assert failed == ["etl.scheduled_20261104T000000.second.-1"]
    assert sum(map(len, keys_of_pages(client, "/browse/instances?state=none"))) == 29
    assert keys_of_pages(client, "/browse/instances?dag=etl&task=first&run=scheduled_20261101T000000") == [
        ["etl.scheduled_20261101T000000.first.-1"]
    ]
    assert "Nothing matches" in client.get("/browse/instances?dag=none").text


def test_filters_of_runs_combine(web: Web, web_database: Database) -> None:
    store_run(web_database, "etl", day=0, state=RunState.FAILED)
    store_run(web_database, "etl", day=1)
    store_run(web_database, "other", day=0, state=RunState.FAILED)
    client = web("viewer")
    assert keys_of_pages(client, "/browse/runs?dag=etl&state=failed") == [["etl.scheduled_20261101T000000"]]
    assert keys_of_pages(client, "/browse/runs?type=manual") == [[]]


def test_jobs_events_and_broken_files_are_listed(web: Web, web_database: Database) -> None:
    start_job(web_database, MASTER_JOB)
    store_dag(web_database)
    set_paused(web_database, "etl", paused=True)
    set_import_errors(web_database, {"/dags/old.py": "line 3: No module named 'x'\nTraceback (most recent call last)"})
    client = web("viewer")
    jobs = client.get("/browse/jobs").text
    assert MASTER_JOB in jobs
    assert "alive" in jobs
    assert "paused" in client.get("/browse/logs?dag=etl").text
    broken = client.get("/browse/import-errors").text
    assert "/dags/old.py" in broken
    assert "Traceback (most recent call last)" in broken
    assert 'href="/browse/import-errors"' in client.get("/").text


def test_what_admins_do_is_not_in_the_log_of_viewers(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    set_paused(web_database, "etl", paused=True)
    for event in ("user created", "token created", "login failed", "logged in"):
        assert "Nothing matches" in web("viewer").get(f"/browse/logs?event={event}").text, event
    assert "user created" in web("admin").get("/admin/audit").text
    assert "paused" in web("viewer").get("/browse/logs").text


def test_a_secret_in_the_error_of_a_file_is_masked(web: Web, web_database: Database) -> None:
    hide("Qz7-hidden-77c1")
    set_import_errors(
        web_database, {"/dags/old.py": "ValueError: cannot connect to postgresql://ada:Qz7-hidden-77c1@h/d"}
    )
    for path in ("/browse/import-errors", "/"):
        page = web("viewer").get(path).text
        assert "cannot connect" in page
        assert "hidden-77c1" not in page


def test_events_are_in_pages_without_gaps(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    for number in range(70):
        set_paused(web_database, "etl", paused=number % 2 == 0)
    pages = keys_of_pages(web("viewer"), "/browse/logs?dag=etl")
    assert [len(page) for page in pages] == [50, 21], "the DAG was added, and changed 70 times"
    assert len({key for page in pages for key in page}) == 71


@pytest.mark.parametrize(
    "url",
    [
        "/browse/runs?after=x",
        "/browse/runs?after=x~y",
        "/browse/runs?after=9999-12-31T23:59:59-23:00~y",
        "/browse/runs?after=2026-11-01~a~b",
        "/browse/instances?after=a~b~c~d",
        "/browse/instances?after=a~b~c~99999999999999999999",
        "/browse/logs?after=9e9",
    ],
)
def test_an_address_that_was_changed_by_hand_is_one_sentence(web: Web, url: str) -> None:
    answer = web("viewer").get(url)
    assert answer.status_code == 400
    assert "The address" in answer.text


def test_markup_in_rows_stays_text(web: Web, web_database: Database) -> None:
    payload = "<script>alert(1)</script>"
    set_import_errors(web_database, {f"/dags/{payload}.py": payload})
    client = web("admin")
    for path in ("/browse/import-errors", "/browse/logs?event=" + payload, "/browse/runs?dag=" + payload):
        assert "<script>alert" not in client.get(path).text


def test_the_present_tab_is_marked(web: Web) -> None:
    page = web("viewer").get("/browse/jobs").text
    assert '<a href="/browse/jobs" aria-current="page">Jobs</a>' in page
    assert 'href="/browse/runs" aria-current="page">Browse<' in page
