"""API: versions of DAGs, and task instances with their attempts, conditions, XComs and logs."""

import struct
from collections.abc import Callable
from typing import Any

import pytest

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.page_queries import instances
from elastic.db.records import TaskInstanceRow
from elastic.db.schema import task_instance, xcom
from elastic.db.sql_clock import now
from elastic.scheduler.log_location import log_path_at
from elastic.web import clear_instances, mark_instances
from elastic.web.context import WebContext
from tests.web.web_client import Api, WebClient
from tests.web.web_samples import store_dag, store_run

DAG = "/api/v1/dags/etl"
RUN = f"{DAG}/runs/scheduled_20261101T000000"
Web = Callable[[str | None], WebClient]


@pytest.fixture
def stored(web_database: Database) -> Database:
    """Database with a run of two tasks, the second one failed."""
    store_dag(web_database, source_digest="a" * 64)
    store_run(web_database, tasks=[("first", TaskState.SUCCESS), ("second", TaskState.FAILED)])
    return web_database


def add_copies(database: Database, count: int, state: TaskState | None = None) -> None:
    rows = [
        TaskInstanceRow(dag_id="etl", run_id="scheduled_20261101T000000", task_id="mapped", map_index=index)
        for index in range(count)
    ]
    transitions.ensure_instances(database, rows)
    with database.begin() as connection:
        connection.execute(task_instance.update().where(task_instance.c.map_index >= 0).values(state=state))


def test_the_versions_of_a_dag_have_structures_sources_and_differences(api: Api, stored: Database) -> None:
    store_dag(stored, source_digest="b" * 64, structure_digest="c" * 64)
    client = api("viewer")
    found = client.get(f"{DAG}/versions?limit=1").json()
    assert [one["number"] for one in found["items"]] == [2]
    assert [one["number"] for one in client.get(found["next"]).json()["items"]] == [1]
    structure = client.get(f"{DAG}/structure?version=1").json()
    assert structure["version"] == 1
    assert [one["task_id"] for one in structure["structure"]["tasks"]] == ["first", "second"]
    assert client.get(f"{DAG}/structure").json()["version"] == 2
    assert client.get(f"{DAG}/source?version=2").text == "print()\n"
    assert client.get(f"{DAG}/diff?from=1&to=2").text == ""
    missing = client.get(f"{DAG}/source?version=3")
    assert (missing.status_code, missing.json()["detail"]) == (404, "DAG 'etl' has no version '3'.")
    assert client.get(f"{DAG}/diff?from=0&to=1").status_code == 422


def test_a_difference_is_a_unified_diff(api: Api, web_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store_dag(web_database, source_digest="a" * 64)
    store_dag(web_database, source_digest="b" * 64, structure_digest="c" * 64)
    monkeypatch.setattr("elastic.web.api.dags.source_of", lambda _, digest: f"one\n{digest[0]}\n")
    lines = api("viewer").get(f"{DAG}/diff?from=1&to=2").text.splitlines()
    assert [line for line in lines if line[0] in "+-"][2:] == ["-a", "+b"]


def test_the_grid_is_that_of_the_page(api: Api, web: Web, stored: Database) -> None:
    found = api("viewer").get(f"{DAG}/grid?runs=5")
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.content == web("viewer").get("/dags/etl/grid?runs=5").content
    (length,) = struct.unpack("<I", found.content[:4])
    assert len(found.content) == 4 + length + 2
    assert api("viewer").get(f"{DAG}/grid?before=tomorrow").status_code == 400
    assert api("viewer").get(f"{DAG}/grid?runs=1000").status_code == 422


def test_an_instance_has_attempts_and_conditions(api: Api, stored: Database) -> None:
    client = api("viewer")
    assert client.get(f"{RUN}/tasks/second").json()["state"] == "failed"
    assert client.get(f"{RUN}/tasks/second/attempts").json() == {"items": [], "next": None}
    why = client.get(f"{RUN}/tasks/second/why").json()["items"]
    assert why
    assert all(one["reason"] for one in why)
    unknown = client.get(f"{RUN}/tasks/secnd").json()
    assert (unknown["status"], unknown["near"]) == (404, ["second"])
    assert client.get(f"{RUN}/tasks/second/0").status_code == 404
    assert client.get(f"{RUN}/tasks/second/{2**31}").status_code == 422
    listed = client.get("/api/v1/instances?task=second").json()["items"]
    assert [(one["dag_id"], one["task_id"]) for one in listed] == [("etl", "second")]


def test_a_mapped_task_is_counted(api: Api, stored: Database) -> None:
    add_copies(stored, 3)
    client = api("viewer")
    assert client.get(f"{RUN}/tasks/mapped").json()["copies"] == {"none": 3}
    assert client.get(f"{RUN}/tasks/mapped/2").json()["map_index"] == 2
    assert client.get(f"{RUN}/tasks/mapped/2/attempts").json()["items"] == []


def test_xcoms_are_listed_and_read_whole(api: Api, stored: Database) -> None:
    values = {"dag_id": "etl", "run_id": "scheduled_20261101T000000", "task_id": "first", "map_index": -1}
    with stored.begin() as connection:
        connection.execute(xcom.insert().values(**values, key="rows", value="[1, 2]", at=now()))
        connection.execute(xcom.insert().values(**values, key="long", value='"' + "x" * 70_000 + '"', at=now()))
    client = api("viewer")
    found = {one["key"]: one for one in client.get(f"{RUN}/tasks/first/xcoms").json()["items"]}
    assert (found["rows"]["value"], found["rows"]["is_cut"]) == ("[1, 2]", False)
    assert (len(found["long"]["value"]), found["long"]["is_cut"]) == (65_536, True)
    assert len(client.get(f"{RUN}/tasks/first/xcoms/long").text) == 70_002
    assert client.get(f"{RUN}/tasks/first/xcoms/n\u00f6").status_code == 404


def test_a_log_is_read_by_byte_ranges(api: Api, stored: Database, web_context: WebContext) -> None:
    client, url = api("viewer"), f"{RUN}/tasks/first/log"
    assert "log file" in client.get(url).json()["detail"]
    key = TaskKey("etl", "scheduled_20261101T000000", "first")
    run = queries.run_of_id(stored, "etl", key.run_id)
    assert run is not None
    path = log_path_at(web_context.deployment.logs, key, run.logical_date, run.logical_date.tzinfo)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<b>0123456789\xff" * 10_000)
    tail = client.get(f"{url}?from=-5")
    assert (tail.content, tail.headers["content-type"]) == (b"6789\xff", "text/plain; charset=utf-8")
    offsets = ("x-log-from", "x-log-next", "x-log-size")
    assert [tail.headers[name] for name in offsets] == ["139995", "140000", "140000"]
    assert client.get(f"{url}?from=3&bytes=4").content == b"0123"
    whole = client.get(url)
    assert (len(whole.content), whole.headers["x-log-from"]) == (65_536, str(140_000 - 65_536))
    end = client.get(f"{url}?from=999999999")
    assert (end.content, end.headers["x-log-next"]) == (b"", "140000")
    for wrong in ("bytes=65537", "bytes=0", "from=x", f"from={2**60}"):
        assert client.get(f"{url}?{wrong}").status_code == 422, wrong


def test_an_instance_is_cleared_with_those_around_it(api: Api, stored: Database) -> None:
    store_run(stored, day=1, tasks=[("first", TaskState.SUCCESS), ("second", TaskState.FAILED)])
    client = api("operator")
    dry = client.post(f"{RUN}/tasks/first/clear", json={"downstream": True, "future": True}).json()
    assert (dry["dry_run"], dry["count"], len({one["run_id"] for one in dry["items"]})) == (True, 4, 2)
    done = client.post(f"{RUN}/tasks/first/clear", json={"dry_run": False}).json()
    assert [(one["task_id"], one["state"]) for one in done["items"]] == [("first", "success")]
    assert client.get(f"{RUN}/tasks/first").json()["state"] is None


def test_an_instance_is_marked(api: Api, stored: Database) -> None:
    client = api("operator")
    done = client.post(f"{RUN}/tasks/second/mark", json={"state": "success"}).json()
    assert done == {"state": "success", "named": 1, "changed": 1}
    assert client.get(f"{RUN}/tasks/second").json()["state"] == "success"
    assert client.post(f"{RUN}/tasks/second/mark", json={"state": "running"}).status_code == 422
    add_copies(stored, 3)
    assert client.post(f"{RUN}/tasks/mapped/1/mark", json={"state": "failed"}).json()["changed"] == 1
    assert client.post(f"{RUN}/tasks/mapped/mark", json={"state": "success"}).json()["changed"] == 3


def test_a_run_is_marked_unless_tasks_are_active(api: Api, stored: Database) -> None:
    client = api("operator")
    assert client.patch(RUN, json={"state": "failed"}).json()["state"] == "failed"
    store_run(stored, day=1, state=RunState.RUNNING, tasks=[("first", TaskState.RUNNING)])
    refused = client.patch(f"{DAG}/runs/scheduled_20261102T000000", json={"state": "success"})
    assert (refused.status_code, "1 queued or running" in refused.json()["detail"]) == (409, True)
    assert client.patch(RUN, json={"state": "queued"}).status_code == 422


@pytest.mark.parametrize("url", [f"{RUN}/clear", f"{RUN}/tasks/mapped/clear"])
def test_a_clear_of_too_many_instances_is_refused(
    api: Api, stored: Database, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    add_copies(stored, 5, TaskState.SUCCESS)
    with_mapped = instances.keys_of_copies(stored, TaskKey("etl", "scheduled_20261101T000000", "mapped"))
    assert len(with_mapped) == 5
    monkeypatch.setattr(clear_instances, "MAX_CLEARED", 4)
    monkeypatch.setattr("elastic.scheduler.commands.clear._wanted", lambda *_: None)
    client = api("operator")
    refused = client.post(url, json={"dry_run": False}).json()
    assert refused["status"] == 409
    assert refused["detail"].startswith("This would clear more than 4 task instances of DAG 'etl'")
    assert "elastic clear" in refused["hint"]
    assert client.post(url, json={}).json()["count"] == 5
    assert {one.state for one in queries.instances(stored, "etl", ["scheduled_20261101T000000"])} == {
        "success",
        "failed",
    }


def test_the_page_refuses_a_clear_of_too_many_instances(
    web: Web, stored: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clear_instances, "MAX_CLEARED", 1)
    client = web("operator")
    shown = client.get("/dags/etl/clear?run=scheduled_20261101T000000").text
    assert "This would clear more than 1 task instances of DAG" in shown
    assert "disabled" in shown
    refused = client.submit("/dags/etl/clear", run="scheduled_20261101T000000")
    assert (refused.status_code, "more than 1 task instances" in refused.text) == (409, True)


def test_a_mark_of_too_many_copies_is_refused(api: Api, stored: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    add_copies(stored, 3)
    monkeypatch.setattr(mark_instances, "MAX_CLEARED", 2)
    refused = api("operator").post(f"{RUN}/tasks/mapped/mark", json={"state": "failed"})
    assert (refused.status_code, "more than 2 copies" in refused.json()["detail"]) == (409, True)


def test_similar_ids_are_searched_in_a_bounded_part_of_all_ids(web_database: Database) -> None:
    for number in range(50):
        store_dag(web_database, f"a_{number:03}")
    for name in ("daily_etls", "daily_load"):
        store_dag(web_database, name)
    for number in range(50):
        store_dag(web_database, f"z_{number:03}")
    found = instances.near_dag_ids(web_database, "daily_etl")
    assert {"daily_etls", "daily_load"} <= set(found)
    store_run(web_database, "a_000", tasks=[(f"task_{number:03}", None) for number in range(300)])
    tasks = instances.near_task_ids(web_database, "a_000", "scheduled_20261101T000000", "task_150x")
    assert "task_150" in tasks
    assert len(tasks) <= 60
    assert instances.near_dag_ids(web_database, "\u00e9") == instances.near_dag_ids(web_database, "\0")


def test_bodies_of_wrong_kinds_are_refused(api: Api, stored: Database) -> None:
    client = api("operator")
    bodies: list[Any] = [None, [], "x", {"state": None}, {"state": ["success"]}, {"state": "success", "x": 1}]
    for body in bodies:
        assert client.post(f"{RUN}/tasks/first/mark", json=body).status_code == 422, body
        assert client.patch(RUN, json=body).status_code == 422, body
