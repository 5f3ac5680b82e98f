"""Live updates: hints of changes, and pages that follow them without losing what the user does."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from elastic.db.database import Database
from elastic.db.stores.dag_files import FileState, ParsedFile, claim_file, forget_files, store_parsed
from elastic.db.stores.dags import DagRow, FoundDag, dag_named, set_paused, structure_of
from elastic.db.stores.pools import PoolStore
from elastic.db.stores.users import Role
from elastic.web.app import create_app
from elastic.web.change_feed import ChangePoller
from elastic.web.context import WebContext
from tests.web.web_client import WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]

#: Run of the first day of the samples.
RUN = "scheduled_20261101T000000"


def test_the_poller_names_what_changed_since_its_last_call(web_database: Database, tmp_path: Path) -> None:
    poller = ChangePoller(web_database, tmp_path)
    store_dag(web_database, "etl")
    wanted = ["dags", "admin", "dag:etl", "dag:other", f"run:etl/{RUN}", "run:etl/x", "flow:f1"]
    assert poller.changed(wanted) == frozenset()
    assert poller.changed(wanted) == frozenset()
    set_paused(web_database, "etl", paused=True)
    assert poller.changed(wanted) == {"dags", "dag:etl"}
    store_run(web_database, "etl")
    assert poller.changed(wanted) == {"dags", "dag:etl", f"run:etl/{RUN}"}
    PoolStore(web_database).put("narrow", 1)
    assert poller.changed(wanted) == {"dags", "admin"}
    (tmp_path / "f1").mkdir()
    (tmp_path / "f1" / "run.sqlite").touch()
    assert poller.changed(wanted) == {"flow:f1"}
    assert poller.changed(wanted) == frozenset()


def parse(database: Database, dag_id: str, structure: str, error: str | None = None) -> None:
    """Store a DAG file as a parser that has loaded it."""
    row = DagRow(dag_id=dag_id, fileloc=f"/dags/{dag_id}.py", structure_digest=structure * 64, task_count=1)
    state = FileState(path=row.fileloc, size=1, mtime_ns=1)
    claim_file(database, state, "parser", 60)
    found = None if error else [FoundDag(row)]
    store_parsed(database, ParsedFile(state=state, dags=found, error=error))


def test_the_poller_names_the_dags_of_a_changed_file(web_database: Database, tmp_path: Path) -> None:
    parse(web_database, "other", "a")
    poller = ChangePoller(web_database, tmp_path)
    wanted = ["dags", "admin", "definition:etl", "definition:other"]
    assert poller.changed(wanted) == frozenset()
    parse(web_database, "etl", "c")
    assert poller.changed(wanted) == {"dags", "definition:etl"}
    parse(web_database, "etl", "c")
    assert poller.changed(wanted) == frozenset(), "nothing changed"
    parse(web_database, "etl", "b")
    assert poller.changed(wanted) == {"dags", "definition:etl"}
    store_run(web_database, "etl")
    assert poller.changed(wanted) == {"dags"}, "the definition did not change"
    parse(web_database, "etl", "b", error="line 3: no module")
    assert poller.changed(wanted) == {"dags", "admin", "definition:etl"}
    parse(web_database, "etl", "b")
    assert poller.changed(wanted) == {"dags", "admin", "definition:etl"}
    forget_files(web_database, ["/dags/etl.py"])
    assert poller.changed(wanted) == {"dags", "definition:etl"}


@pytest.mark.browser
def test_open_pages_follow_an_edit_of_a_dag_file(browser_page: Any, web_database: Database) -> None:
    store_dag(web_database)
    page = browser_page
    page.goto("/dags/etl?view=runs")
    page.wait_for_selector("#live-status .dot.on")
    dag = dag_named(web_database, "etl")
    assert dag is not None
    structure = structure_of(web_database, dag.structure_digest or "") or ""
    state = FileState(path=dag.fileloc, size=1, mtime_ns=1)

    def load(error: str | None, **changes: Any) -> None:
        claim_file(web_database, state, "parser", 60)
        found = None if error else [FoundDag(replace(dag, **changes), structure=structure)]
        store_parsed(web_database, ParsedFile(state=state, dags=found, error=error))

    load(None, owner="grace")
    page.wait_for_selector("#dag-head :text('grace')")
    load("line 3: no module")
    page.wait_for_selector("#dag-head .callout.bad:has-text('no module')")
    page.goto("/")
    page.wait_for_selector("#banners :text('no module')")
    page.wait_for_selector("#live-status .dot.on")
    load(None)
    page.wait_for_selector("#banners :text('no module')", state="detached")


@pytest.mark.slow
def test_a_stream_hints_at_changes_after_its_first_line(web: Web, live_url: str, web_database: Database) -> None:
    store_dag(web_database, "etl")
    cookies = {"elastic": web("viewer").cookies["elastic"]}
    with (
        httpx2.Client(base_url=live_url, cookies=cookies, timeout=60) as client,
        client.stream("GET", "/events", params={"topics": "dags dag:etl dag:other"}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        set_paused(web_database, "etl", paused=True)
        data = (line for line in lines if line.startswith("data: "))
        assert next(data) == 'data: {"topic": "dag:etl", "version": 1}'
        assert next(data) == 'data: {"topic": "dags", "version": 1}'


@pytest.mark.parametrize("topics", ["", "nothing", "dag:", "dag:a/b", "run:a", "flow:../x", "dags " * 21, "dag:<b>"])
def test_an_unknown_topic_is_refused(web: Web, topics: str) -> None:
    answer = web("viewer").get("/events", params={"topics": topics})
    assert answer.status_code == 400
    assert "<b>" not in answer.text.replace("<b>No master", "")


def test_no_stream_without_a_login(web: Web) -> None:
    assert web(None).get("/events").status_code == 303


@pytest.mark.browser
def test_the_list_follows_a_change_and_keeps_focus_typed_text_and_scroll(
    browser_page: Any, web_database: Database
) -> None:
    for number in range(40):
        store_dag(web_database, f"dag_{number:02}")
    page = browser_page
    page.goto("/")
    page.wait_for_selector("#live-status .dot.on")
    page.fill("input[placeholder='Filter by id, owner, tag']", "typed")
    page.locator("#dag-dag_30 a.name").focus()
    position = page.evaluate("window.scrollY")
    store_run(web_database, "dag_05")
    page.wait_for_selector("#dag-dag_05 svg.bars rect", state="attached")
    assert page.evaluate("document.activeElement.textContent") == "dag_30"
    assert page.evaluate("window.scrollY") == position
    assert page.input_value("input[placeholder='Filter by id, owner, tag']") == "typed"
    PoolStore(web_database).put("narrow", 1)


@pytest.mark.browser
def test_a_row_keeps_the_focus_when_one_before_it_goes(browser_page: Any, web_database: Database) -> None:
    for name in ("first", "second", "third"):
        store_dag(web_database, name)
    page = browser_page
    page.goto("/")
    page.wait_for_selector("#live-status .dot.on")
    page.locator("#dag-third a.name").focus()
    store_dag(web_database, "first", is_active=False)
    page.evaluate("document.dispatchEvent(new CustomEvent('elastic:refresh'))")
    page.wait_for_selector("#dag-first", state="detached")
    assert page.evaluate("document.activeElement.textContent") == "third"


def test_a_page_that_has_not_changed_is_not_sent_again_within_a_minute(
    web_context: WebContext, web_database: Database
) -> None:
    store_dag(web_database)
    time = dt.datetime.now(dt.UTC).replace(second=1) + dt.timedelta(minutes=1)
    client = WebClient(create_app(replace(web_context, clock=lambda: time)), Role.VIEWER)
    tag = client.get("/").headers["etag"]
    time += dt.timedelta(seconds=50)
    assert client.get("/", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.browser
def test_keys_search_move_and_show_their_help(browser_page: Any, web_database: Database) -> None:
    for name in ("first", "second"):
        store_dag(web_database, name)
    page = browser_page
    page.goto("/account")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_selector("#dag-first")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == "second"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert "go to the DAGs" in page.inner_text("#keys-help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys-help")
