"""Search of the header and of the API."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elastic.db.database import Database
from elastic.db.page_queries import search as search_module
from elastic.db.page_queries.search import search
from tests.web.web_client import WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]


@pytest.fixture
def stored(web_database: Database) -> Database:
    """Three DAGs, one of them gone from its file, and runs of two of them."""
    for dag_id in ("etl", "my_etl", "report"):
        store_dag(web_database, dag_id)
    store_run(web_database, "etl", day=0)
    store_run(web_database, "report", day=1)
    store_run(web_database, "report", day=2, run_id="by_hand")
    return web_database


def hits(page: str) -> dict[str, list[str]]:
    """Return the names on the page by kind."""
    found = {}
    for kind, part in re.findall(
        r'<section class="card hits"[^>]*>.*?<h2[^>]*>([^<]+)</h2>(.*?)</section>', page, re.S
    ):
        found[kind] = re.findall(r'<a class="name" href="[^"]+">([^<]+)</a>', part)
    return found


def test_a_search_finds_dags_tasks_and_runs(web: Web, stored: Database) -> None:
    client = web("viewer")
    assert hits(client.get("/search?q=etl").text) == {"DAGs": ["etl", "my_etl"]}
    assert hits(client.get("/search?q=ETL").text) == {"DAGs": ["etl", "my_etl"]}
    assert hits(client.get("/search?q=seco").text) == {"Tasks": ["second"] * 3}
    assert hits(client.get("/search?q=by_h").text) == {"Runs": ["by_hand"]}
    assert hits(client.get("/search?q=2026-11-02").text) == {"Runs": ["scheduled_20261102T000000"]}
    page = client.get("/search?q=scheduled_2026").text
    assert sorted(hits(page)["Runs"]) == ["scheduled_20261101T000000", "scheduled_20261102T000000"]
    for href in re.findall(r'<a class="name" href="([^"]+)"', client.get("/search?q=se").text + page):
        assert client.get(href.replace("&amp;", "&")).status_code == 200, href


def test_a_search_finds_flow_runs(web: Web, stored: Database, flow_run: Path) -> None:
    found = hits(web("viewer").get(f"/search?q={flow_run.name}").text)
    assert found == {"Flow runs": [flow_run.name]}


def test_the_header_of_every_page_searches_without_a_script(web: Web, stored: Database) -> None:
    page = web("viewer").get("/browse/runs").text
    form = re.search(r'<form class="search" role="search" action="/search" method="get">(.*?)</form>', page, re.S)
    assert form
    assert 'name="q"' in form[1]
    assert "data-key='/'" in form[1] or 'data-key="/"' in form[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "%",
        "_",
        "[",
        "*",
        "\\",
        "'",
        '"',
        "é",
        "😀",
        "a" * 4000,
        "<b>x</b>",
        "{{ 7 * 7 }}",
        "9999-12-31",
        "0001-01-01",
    ],
)
def test_odd_searches_find_nothing_and_break_nothing(web: Web, stored: Database, text: str) -> None:
    answer = web("viewer").get("/search", params={"q": text})
    assert answer.status_code == 200
    assert "<b>x</b>" not in answer.text
    assert hits(answer.text) == ({"DAGs": ["my_etl"]} if text == "_" else {})


def test_the_api_searches_as_the_page_does(web: Web, stored: Database) -> None:
    client = web("viewer")
    found = client.get("/api/v1/search", params={"q": "etl"}).json()
    assert found == {"dags": [{"dag_id": "etl"}, {"dag_id": "my_etl"}], "tasks": [], "runs": [], "flow_runs": []}
    assert client.get("/api/v1/search", params={"q": "fir"}).json()["tasks"][0] == {"dag_id": "etl", "task_id": "first"}
    run = client.get("/api/v1/search", params={"q": "by_hand"}).json()["runs"][0]
    assert run == {
        "dag_id": "report",
        "run_id": "by_hand",
        "logical_date": "2026-11-03T00:00:00Z",
        "state": "success",
    }
    assert client.get("/api/v1/search").status_code == 422
    assert client.get("/api/v1/search", params={"q": "x" * 251}).status_code == 422
    assert web(None).get("/api/v1/search?q=etl").status_code == 401


def test_each_kind_has_five_hits_at_most(web_database: Database, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        store_dag(web_database, f"etl_{number}")
        store_run(web_database, f"etl_{number}")
    assert len(search(web_database, "etl").dag_ids) == 5
    assert len(search(web_database, "first").tasks) == 5
    assert len(search(web_database, "scheduled").runs) == 5
    page = web("viewer").get("/search?q=etl").text
    assert 'href="/?q=etl">all that match' in page
    # A search for tasks reads only some structures.
    monkeypatch.setattr(search_module, "_MAX_STRUCTURES", 2)
    assert len(search(web_database, "first").tasks) == 2


@pytest.mark.browser
def test_the_slash_key_leads_to_the_search(browser_page: Any, web_database: Database) -> None:
    store_dag(web_database, "etl")
    browser_page.goto("/browse/jobs")
    browser_page.keyboard.press("/")
    browser_page.keyboard.type("et")
    browser_page.keyboard.press("Enter")
    browser_page.wait_for_url("**/search?q=et")
    assert browser_page.text_content(".hits a.name") == "etl"
