"""Old addresses of pages lead to the pages of today."""

from collections.abc import Callable

import pytest

from elastic.db.database import Database
from tests.web.web_client import WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]


@pytest.fixture
def stored(web_database: Database) -> Database:
    store_dag(web_database)
    store_run(web_database, tasks=[("first", None)])
    return web_database


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/tree?dag_id=etl", "/dags/etl"),
        ("/tree?dag_id=etl&num_runs=25&root=first", "/dags/etl"),
        ("/graph?dag_id=etl", "/dags/etl?view=graph"),
        ("/gantt?dag_id=etl", "/dags/etl"),
        ("/code?dag_id=etl", "/dags/etl?view=code"),
        ("/log?dag_id=etl", "/dags/etl"),
        ("/log?dag_id=etl&task_id=first&execution_date=2026-11-09", "/dags/etl"),
        (
            "/log?dag_id=etl&task_id=first&execution_date=2026-11-01T00:00:00",
            "/dags/etl/runs/scheduled_20261101T000000/tasks/first?tab=log",
        ),
    ],
)
def test_an_old_address_leads_to_a_page(web: Web, stored: Database, old: str, new: str) -> None:
    client = web("viewer")
    answer = client.get(old)
    assert (answer.status_code, answer.headers["location"]) == (301, new)
    assert client.get(new).status_code == 200


@pytest.mark.parametrize("path", ["/tree", "/graph", "/gantt", "/code", "/log"])
def test_an_old_address_of_an_unknown_dag_is_not_redirected(web: Web, stored: Database, path: str) -> None:
    client = web("viewer")
    assert client.get(f"{path}?dag_id=none").status_code == 404
    assert client.get(path, params={"dag_id": "//evil.example"}).status_code == 404
    assert client.get(path, params={"dag_id": "é"}).status_code == 404
    assert client.get(path).status_code in (400, 422)
    assert web(None).get(f"{path}?dag_id=etl").status_code == 303
