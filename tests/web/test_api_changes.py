"""API: counts and chosen fields of lists, changes of what has not changed, kill, cancel, preferences and layout."""

import json

import pytest
from fastapi import FastAPI

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.stores.dag_files import FileState, ParsedFile, claim_file, files_to_parse_again, store_parsed
from elastic.db.stores.dags import dag_named
from tests.web.web_client import Api
from tests.web.web_samples import store_dag, store_run

RUN = "/api/v1/dags/etl/runs/scheduled_20261101T000000"


def test_a_list_is_counted_over_all_its_pages_if_asked(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    for day in range(3):
        store_run(web_database, day=day, tasks=[("first", TaskState.SUCCESS), ("second", TaskState.FAILED)])
    client = api("viewer")
    assert client.get("/api/v1/dags/etl/runs?limit=1&count=1").json()["count"] == 3
    assert client.get("/api/v1/instances?limit=1&count=1&state=failed").json()["count"] == 3
    assert client.get(f"{RUN}/instances?count=1&task=first").json()["count"] == 1
    assert "count" not in client.get("/api/v1/instances").json()


def test_fields_choose_parts_of_an_object_and_of_the_items_of_a_list(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client = api("viewer")
    assert client.get("/api/v1/dags/etl?fields=dag_id,%20owner").json() == {"dag_id": "etl", "owner": "ada"}
    assert client.get("/api/v1/dags?fields=dag_id").json() == {"items": [{"dag_id": "etl"}], "next": None}
    refused = client.get("/api/v1/dags?fields=dag_id,nothing")
    assert (refused.status_code, refused.json()["detail"]) == (400, "There is no field 'nothing'.")
    assert client.get("/api/v1/instances?fields=nothing").json()["items"] == [], "an empty list has no fields to check"


def test_a_change_is_refused_if_the_object_has_changed_since_it_was_read(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client, url = api("operator"), "/api/v1/dags/etl"
    tag = client.get(url).headers["etag"]
    first = client.patch(url, json={"is_paused": True}, headers={"If-Match": tag})
    second = client.patch(url, json={"is_paused": False}, headers={"If-Match": f'"x", {tag}'})
    assert (first.status_code, second.status_code) == (200, 412)
    assert client.get(url).json()["is_paused"] is True
    assert client.patch(url, json={"is_paused": False}, headers={"If-Match": "*"}).status_code == 200
    both = {"If-Match": "*", "Idempotency-Key": "one"}
    assert client.patch(url, json={"is_paused": True}, headers=both).status_code == 400


def test_a_change_of_what_is_not_there_or_has_no_tag_is_refused(api: Api) -> None:
    client = api("admin")
    put = client.put("/api/v1/pools/narrow", json={"slots": 1}, headers={"If-Match": "*"})
    assert put.status_code == 412
    assert client.get("/api/v1/pools/narrow").status_code == 404
    assert client.put("/api/v1/variables/x", json={"value": "1"}, headers={"If-Match": "*"}).status_code == 400


def test_a_task_is_killed_only_while_it_has_an_attempt(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    run = store_run(web_database, state=RunState.RUNNING, tasks=[("first", TaskState.RUNNING), ("second", None)])
    client = api("operator")
    killed = client.post(f"{RUN}/tasks/first/kill")
    assert killed.json() == {"state": "failed", "named": 1, "changed": 1}
    again, never = (client.post(f"{RUN}/tasks/{name}/kill") for name in ("first", "second"))
    assert (again.status_code, never.status_code) == (409, 409)
    assert never.json()["detail"] == "Task 'second' has no attempt to kill: it is not started."
    notes = {one.task_id: one.note for one in queries.instances(web_database, "etl", [run.run_id])}
    assert notes == {"first": "killed by operator", "second": None}


def test_a_canceled_run_ends_with_its_instances(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    tasks = [("first", TaskState.SUCCESS), ("second", TaskState.RUNNING)]
    run = store_run(web_database, state=RunState.RUNNING, tasks=tasks)
    client = api("operator")
    done = client.post(f"{RUN}/cancel")
    assert (done.json()["run"]["state"], done.json()["count"]) == ("failed", 1)
    states = {one.task_id: one.state for one in queries.instances(web_database, "etl", [run.run_id])}
    assert states == {"first": TaskState.SUCCESS, "second": TaskState.FAILED}
    assert client.post(f"{RUN}/cancel").status_code == 409


def test_a_user_sets_the_zone_of_pages(api: Api) -> None:
    client, url = api("viewer"), "/api/v1/me/preferences"
    assert client.put(url, json={"zone": "Asia/Tokyo"}).json() == {"zone": "Asia/Tokyo"}
    assert client.get(url).json() == {"zone": "Asia/Tokyo"}
    refused = client.put(url, json={"zone": "Mars/Olympus"})
    assert (refused.status_code, refused.json()["detail"]) == (400, "There is no time zone 'Mars/Olympus'.")
    assert client.put(url, json={"zone": None}).json() == {"zone": None}


def test_the_layout_places_every_task(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client = api("viewer")
    found = client.get("/api/v1/dags/etl/layout").json()
    first, second = found["nodes"]
    assert (first["node_id"], second["node_id"]) == ("first", "second")
    assert first["x"] + first["width"] < second["x"] <= found["width"] - second["width"]
    assert [(one["source"], one["target"]) for one in found["edges"]] == [("first", "second")]
    missing = client.get("/api/v1/dags/etl/layout?root=frist")
    assert (missing.status_code, missing.json()["near"]) == (404, ["first"])


def test_a_file_is_parsed_again_on_demand_once_a_master_has_read_it(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client, url = api("operator"), "/api/v1/dags/etl/parse"
    assert client.post(url).status_code == 409
    dag = dag_named(web_database, "etl")
    assert dag is not None
    state = FileState(path=dag.fileloc, size=1, mtime_ns=1)
    claim_file(web_database, state, "parser", 60)
    store_parsed(web_database, ParsedFile(state=state, dags=None))
    assert files_to_parse_again(web_database) == []
    assert client.post(url).status_code == 202
    assert files_to_parse_again(web_database) == [dag.fileloc]
    assert api("viewer").post(url).status_code == 403


@pytest.mark.parametrize("name", ["etl", "none"])
def test_throughput_needs_a_run_of_a_flow(api: Api, name: str) -> None:
    assert api("viewer").get(f"/api/v1/flows/{name}/steps/0/throughput").status_code == 404


def test_a_field_is_documented_for_each_get_with_json(api: Api, web_app: FastAPI) -> None:
    document = json.loads(api("viewer").get("/api/v1/openapi.json").text)
    for path in ("/api/v1/dags", "/api/v1/dags/{dag_id}", "/api/v1/me"):
        assert "fields" in {one["name"] for one in document["paths"][path]["get"]["parameters"]}
