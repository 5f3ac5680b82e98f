"""Backfills: the dates that a form shows, the runs that it makes, and the list of backfills."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from fastapi import FastAPI

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.transitions import BackfillState
from elastic.web.app import create_app
from elastic.web.context import WebContext
from tests.web.web_client import WebClient
from tests.web.web_samples import NOW, store_dag, store_run

Web = Callable[[str | None], WebClient]

URL = "/dags/etl/backfill"


@pytest.fixture
def web_app(web_context: WebContext) -> FastAPI:
    """The app at a known time."""
    return create_app(replace(web_context, clock=lambda: NOW))


@pytest.fixture
def stored(web_database: Database) -> Database:
    """A daily DAG with a run that succeeded on 2 November, and one that failed on 4 November."""
    store_dag(web_database)
    store_run(web_database, day=1, tasks=[("first", TaskState.SUCCESS), ("second", TaskState.SUCCESS)])
    tasks = [("first", TaskState.SUCCESS), ("second", TaskState.FAILED)]
    store_run(web_database, day=3, state=RunState.FAILED, tasks=tasks)
    return web_database


def dates_in(page: str) -> list[str]:
    rows = re.findall(r'<tr id="date-\d+">(.*?)</tr>', page, re.S)
    return [re.search(r'datetime="([^T]+)T', row)[1] for row in rows]  # type: ignore[index]


def test_the_form_lists_the_dates_and_changes_nothing(web: Web, stored: Database) -> None:
    client = web("operator")
    assert f'href="{URL}"' in client.get("/dags/etl").text
    page = client.get(f"{URL}?start=2026-11-01&end=2026-11-05").text
    assert dates_in(page) == [f"2026-11-0{day}" for day in range(1, 6)]
    assert "2 of 5 dates finished" in page
    assert "Backfill 3 dates" in page
    assert len(queries.runs(stored, "etl")) == 2
    assert "Backfill 4 dates" in client.get(f"{URL}?start=2026-11-02&end=2026-11-05&existing=failed").text


def test_a_backfill_queues_missing_runs_for_a_master(web: Web, stored: Database) -> None:
    page = web("operator").followed(URL, start="2026-11-01T00:00:00", end="2026-11-05T00:00:00", existing="keep")
    assert "3 runs were queued." in page
    assert "2 of 5 dates finished" in page
    runs = queries.runs(stored, "etl")
    assert [str(run.state) for run in runs] == ["queued", "success", "queued", "failed", "queued"]
    new = runs[0]
    assert (new.run_type, new.is_served, new.structure_digest is not None) == ("backfill", True, True)
    assert new.data_interval_end - new.data_interval_start == dt.timedelta(days=1)
    claims = transitions.take_runs(stored, "host:1:2", 30)
    assert new.run_id in {one.run.run_id for one in claims}
    again = web("operator").followed(URL, start="2026-11-01T00:00:00", end="2026-11-05T00:00:00")
    assert "0 runs were queued." in again


@pytest.mark.parametrize(("existing", "cleared"), [("failed", ["second"]), ("all", ["first", "second"])])
def test_existing_runs_are_cleared_if_wanted(web: Web, stored: Database, existing: str, cleared: list[str]) -> None:
    page = web("operator").followed(URL, start="2026-11-04T00:00:00", end="2026-11-04T00:00:00", existing=existing)
    assert "0 runs were queued, and 1 existing run was cleared." in page
    (run,) = queries.runs(stored, "etl", states=[RunState.QUEUED])
    found = queries.instances(stored, "etl", [run.run_id])
    assert [one.task_id for one in found if one.state is None] == cleared


def test_intervals_that_have_not_passed_are_left_out(web: Web, stored: Database) -> None:
    page = web("operator").get(f"{URL}?start=2026-11-26&end=2026-12-31").text
    assert dates_in(page) == ["2026-11-26", "2026-11-27", "2026-11-28"]


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        ("yesterday", "2026-11-05", "is not a date"),
        ("2026-11-05", "2026-11-01", "before it starts"),
        ("2026-12-24", "2026-12-25", "has no interval in the range that has passed"),
        ("2020-01-01", "2020-01-05", "has no interval in the range"),
        ("0001-01-01", "2026-11-05", "expected a year from 1900"),
        ("2026-11-01", "9999-12-31", "expected a year from 1900"),
        ("2026-11-01\ud800", "2026-11-05", "is not a date"),
    ],
)
def test_a_range_that_has_no_dates_is_refused(web: Web, stored: Database, start: str, end: str, sentence: str) -> None:
    client = web("operator")
    answer = client.submit(URL, start=start.encode("utf-8", "replace").decode(), end=end)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert sentence in client.get(URL, params={"start": start.encode("utf-8", "replace").decode(), "end": end}).text
    assert len(queries.runs(stored, "etl")) == 2


def test_a_backfill_has_a_limit(web: Web, web_database: Database) -> None:
    store_dag(web_database, schedule="@hourly")
    answer = web("operator").submit(URL, start="2026-01-01", end="2026-11-01")
    assert answer.status_code == 422
    assert "more than 500 dates" in answer.text


def test_a_dag_without_dates_says_what_to_do(web: Web, web_database: Database) -> None:
    store_dag(web_database, schedule=None)
    page = web("operator").get(f"{URL}?start=2026-11-01&end=2026-11-02").text
    assert "trigger a run for one date instead" in page


def test_backfills_are_listed_with_their_progress(web: Web, stored: Database) -> None:
    assert "No backfills yet" in web("viewer").get("/browse/backfills").text
    web("operator").followed(URL, start="2026-11-01T00:00:00", end="2026-11-05T00:00:00")
    client = web("viewer")
    page = client.get("/browse/backfills").text
    assert "1 failed, 3 queued, 1 success" in page
    assert ">operator<" in page
    href = re.search(r'<a class="name" href="(/dags/etl/backfill[^"]+)">etl</a>', page)
    assert href
    progress = client.get(href[1].replace("&amp;", "&")).text
    assert "2 of 5 dates finished" in progress
    assert '<button class="btn primary"' not in progress


def test_a_backfill_of_masters_is_listed_with_its_state(web: Web, stored: Database) -> None:
    first, last = (dt.datetime(2026, 11, day, tzinfo=dt.UTC) for day in (1, 5))
    made = transitions.submit_backfill(stored, "etl", first, last, 2)
    row = r"(?s)>etl</a>.*>{state}<.*1 failed, 1 success"
    assert re.search(row.format(state="running"), web("viewer").get("/browse/backfills").text)
    transitions.set_backfill_state(stored, made.id, BackfillState.PAUSED)
    page = web("viewer").get("/browse/backfills").text
    assert re.search(row.format(state="paused"), page)
    assert page.count(">etl</a>") == 1


def test_a_backfill_needs_the_right(web: Web, stored: Database) -> None:
    assert web("viewer").submit(URL, start="2026-11-01", end="2026-11-05").status_code == 403
    assert web("operator").post(URL, data={"start": "2026-11-01"}).status_code == 403
    assert web("operator").submit(URL, start="2026-11-01", end="2026-11-02", existing="odd").status_code == 400
    assert len(queries.runs(stored, "etl")) == 2
