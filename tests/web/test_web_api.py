"""API: tokens, lists, changes and errors as JSON."""

import datetime as dt
import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.encryption import add_key, cipher_of
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.dags import cursor_of
from elastic.db.stores.users import Role, UserStore
from elastic.db.stores.variables import VariableStore
from elastic.web.api.description import describe
from elastic.web.context import WebContext
from tests.web.web_client import Api, WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]

CANARY = "canary-5f3a9b"


def items(client: TestClient, url: str) -> Iterator[Any]:
    """Yield the items of all pages of a list."""
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        yield from answer.json()["items"]
        url = answer.json()["next"]


def test_a_token_acts_for_its_user_with_the_lower_role(api: Api, web_database: Database) -> None:
    assert api("operator").get("/api/v1/me").json() == {"username": "operator", "role": "operator"}
    client = api("admin", Role.VIEWER)
    assert client.get("/api/v1/me").json() == {"username": "admin", "role": "viewer"}
    refused = client.get("/api/v1/users")
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == "User admin (viewer) may not manage users."
    client = api("operator")
    UserStore(web_database).change("operator", role=Role.VIEWER)
    assert client.get("/api/v1/me").json()["role"] == "viewer", "the token kept the role that its user has lost"
    UserStore(web_database).change("operator", is_active=False)
    assert client.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic YWRtaW46eA==", f"Bearer els_{'0' * 43}", "Bearer els_\udcff", "bearer  "],
)
def test_a_wrong_token_is_refused_even_beside_a_session(web: Web, header: str) -> None:
    client = web("admin")
    answer = client.get("/api/v1/me", headers={"Authorization": header.encode("utf-8", "surrogateescape")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_an_expired_token_is_refused_and_the_last_use_is_kept(api: Api, web_database: Database) -> None:
    assert api("viewer", days=-1).get("/api/v1/me").status_code == 401
    api("viewer").get("/api/v1/me")
    used = [one.used_at for one in ApiTokenStore(web_database).all("viewer")]
    assert [one is not None for one in used] == [True, False]


def test_dags_are_listed_in_pages_and_filtered(api: Api, web_database: Database) -> None:
    for number in range(7):
        store_dag(web_database, f"dag_{number}", tags="even" if number % 2 == 0 else "odd")
    store_run(web_database, "dag_3", state=RunState.FAILED)
    client = api("viewer")
    found = list(items(client, "/api/v1/dags?limit=2"))
    assert [one["dag_id"] for one in found] == [f"dag_{number}" for number in range(7)]
    assert [one["dag_id"] for one in items(client, "/api/v1/dags?tag=odd&limit=1")] == ["dag_1", "dag_3", "dag_5"]
    assert found[3]["last_runs"] == [{"run_id": "scheduled_20261101T000000", "state": "failed"}]
    one = client.get("/api/v1/dags/dag_3").json()
    assert (one["owner"], one["version"], one["is_gone"]) == ("ada", 1, False)


def test_an_unknown_dag_lists_similar_ones(api: Api, web_database: Database) -> None:
    store_dag(web_database, "daily_etls")
    answer = api("viewer").get("/api/v1/dags/daily_etl")
    assert answer.status_code == 404
    assert (answer.json()["detail"], answer.json()["near"]) == ("There is no DAG 'daily_etl'.", ["daily_etls"])
    assert api("viewer").get("/api/v1/dags/none/runs").status_code == 404
    assert api("viewer").get("/api/v1/dags/daily_etls/runs/none").status_code == 404


def test_a_run_is_triggered_with_its_date_id_and_parameters(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client = api("operator")
    body = {"logical_date": "2026-11-05T02:00:00+01:00", "run_id": "mine", "conf": {"text": "{{ 1 + 1 }}"}}
    answer = client.post("/api/v1/dags/etl/runs", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/api/v1/dags/etl/runs/mine"
    run = client.get(answer.headers["location"]).json()
    assert (run["logical_date"], run["conf"], run["state"]) == (
        "2026-11-05T01:00:00Z",
        {"text": "{{ 1 + 1 }}"},
        "queued",
    )
    again = client.post("/api/v1/dags/etl/runs", json=body)
    assert again.status_code == 409
    assert "has a run for 2026-11-05 01:00:00 UTC already" in again.json()["detail"]
    assert {one.owner for one in queries.events(web_database, run_id="mine")} == {"operator"}
    assert {client.post("/api/v1/dags/etl/runs", json={}).status_code for _ in range(3)} == {201}, "in one second"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"logical_date": "yesterday"}', 400),
        ('{"logical_date": "2026-11-05T02:00:00"}', 400),
        ('{"logical_date": "9999-12-31T23:59:59-23:00"}', 400),
        ('{"run_id": "../x"}', 400),
        ('{"run_id": ""}', 201),
        ('{"conf": [1]}', 422),
        ('{"conf": {"x": NaN}}', 400),
        ('{"conf": {"x": [1e999]}}', 400),
        ('{"unknown": 1}', 422),
        ("{", 422),
        ("[" * 100_000, 400),
        (json.dumps({"conf": {"a": functools.reduce(lambda inner, _: [inner], range(600), 0)}}), 400),
        ('"text"', 422),
    ],
)
def test_an_invalid_run_is_a_sentence(api: Api, web_database: Database, body: str, code: int) -> None:
    store_dag(web_database)
    answer = api("operator").post("/api/v1/dags/etl/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == code, answer.text
    if code != 201:
        assert answer.json()["status"] == code
        assert answer.json()["detail"]
        assert queries.runs(web_database) == []


def test_a_dag_is_paused_and_resumed(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client = api("operator")
    assert client.patch("/api/v1/dags/etl", json={"is_paused": True}).json()["is_paused"] is True
    cursor = cursor_of(web_database, "etl")
    assert cursor is not None
    assert cursor.is_paused
    assert client.patch("/api/v1/dags/etl", json={"is_paused": False}).json()["is_paused"] is False
    assert api("viewer").patch("/api/v1/dags/etl", json={"is_paused": True}).status_code == 403


def test_runs_and_instances_are_listed_in_pages(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    for day in range(5):
        store_run(web_database, day=day, tasks=[("first", TaskState.SUCCESS), ("second", TaskState.FAILED)])
    client = api("viewer")
    days = [one["logical_date"][8:10] for one in items(client, "/api/v1/dags/etl/runs?limit=2")]
    assert days == ["05", "04", "03", "02", "01"]
    url = "/api/v1/dags/etl/runs/scheduled_20261101T000000/instances?limit=1"
    assert [one["task_id"] for one in items(client, url)] == ["first", "second"]
    assert [one["task_id"] for one in items(client, f"{url}&state=failed")] == ["second"]


def test_clearing_says_what_it_would_do_before_it_does_it(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    run = store_run(web_database, tasks=[("first", TaskState.SUCCESS), ("second", TaskState.FAILED)])
    client, url = api("operator"), "/api/v1/dags/etl/runs/scheduled_20261101T000000/clear"
    dry = client.post(url, json={"task_id": "first", "downstream": True}).json()
    assert (dry["dry_run"], dry["count"]) == (True, 2)
    assert {one.state for one in queries.instances(web_database, "etl", [run.run_id])} == {"success", "failed"}
    done = client.post(url, json={"only_failed": True, "dry_run": False}).json()
    assert [one["task_id"] for one in done["items"]] == ["second"]
    states = {one.task_id: one.state for one in queries.instances(web_database, "etl", [run.run_id])}
    assert states == {"first": "success", "second": None}
    assert client.post(url, json={"task_id": "third"}).status_code == 400


def test_an_answer_that_has_not_changed_is_not_sent_again(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client = api("viewer")
    tag = client.get("/api/v1/dags").headers["etag"]
    assert client.get("/api/v1/dags", headers={"If-None-Match": tag}).status_code == 304
    store_dag(web_database, "other")
    assert client.get("/api/v1/dags", headers={"If-None-Match": tag}).status_code == 200


def test_administration_never_answers_with_a_secret(api: Api, web_context: WebContext) -> None:
    add_key(web_context.settings.home / "fernet.key")
    client = api("admin")
    body = {"kind": "mysql", "host": "db", "password": CANARY, "extra": {"token": CANARY}}
    said = [client.put("/api/v1/connections/warehouse", json=body)]
    said.append(client.put("/api/v1/variables/bucket", json={"value": CANARY}))
    said.append(client.post("/api/v1/users", json={"username": "eve", "password": f"{CANARY} long"}))
    said += [client.get(f"/api/v1/{name}") for name in ("connections", "variables", "users", "tokens", "openapi.json")]
    assert [one.status_code for one in said] == [204, 204, 201, 200, 200, 200, 200, 200]
    assert CANARY not in "".join(one.text for one in said)
    assert "hash" not in client.get("/api/v1/users").text
    cipher = cipher_of(web_context.settings)
    store = ConnectionStore(web_context.database, cipher)
    assert store.get("warehouse").password == CANARY
    client.put("/api/v1/connections/warehouse", json={"kind": "mysql", "host": "db2"})
    assert (store.get("warehouse").host, store.get("warehouse").password) == ("db2", CANARY)
    assert VariableStore(web_context.database, cipher).get("bucket").value == CANARY
    codes = [client.delete(f"/api/v1/{name}").status_code for name in ("connections/warehouse", "variables/bucket")]
    assert codes == [204, 204]
    assert client.delete("/api/v1/connections/warehouse").status_code == 404


def test_pools_and_users_are_changed(api: Api, web_database: Database) -> None:
    client = api("admin")
    assert client.put("/api/v1/pools/narrow", json={"slots": 2}).json()["slots"] == 2
    assert {one["pool"] for one in api("viewer").get("/api/v1/pools").json()["items"]} == {"default", "narrow"}
    assert client.put("/api/v1/pools/narrow", json={"slots": -2}).status_code == 422
    assert client.delete("/api/v1/pools/default").status_code == 400
    assert client.patch("/api/v1/users/viewer", json={"role": "operator"}).json()["role"] == "operator"
    assert client.patch("/api/v1/users/admin", json={"role": "viewer"}).status_code == 400
    assert client.post("/api/v1/users", json={"username": "viewer", "password": "a good long one"}).status_code == 409
    assert client.delete("/api/v1/users/viewer").status_code == 204
    assert UserStore(web_database).find("viewer") is None


def test_a_token_is_made_and_revoked(api: Api, web_app: FastAPI) -> None:
    client = api("admin")
    made = client.post("/api/v1/tokens", json={"name": "nightly", "role": "viewer"}).json()
    assert re.fullmatch(r"els_[0-9A-Za-z]{43}", made["token"])
    program = TestClient(
        web_app, base_url="http://127.0.0.1:8080", headers={"Authorization": f"Bearer {made['token']}"}
    )
    assert program.get("/api/v1/me").json()["role"] == "viewer"
    assert client.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    assert program.get("/api/v1/me").status_code == 401
    assert client.delete(f"/api/v1/tokens/{made['id']}").status_code == 404


def test_a_token_that_ends_makes_none_that_outlives_it(api: Api) -> None:
    client = api("admin", days=2)
    ends = [client.post("/api/v1/tokens", json={"name": "x", "days": days}).json()["expires_at"] for days in (0, 1, 90)]
    days = [round((dt.datetime.fromisoformat(end) - dt.datetime.now(dt.UTC)) / dt.timedelta(days=1)) for end in ends]
    assert days == [2, 1, 2]


def test_a_session_needs_its_csrf_token_in_a_header(web: Web, web_database: Database) -> None:
    store_dag(web_database)
    client = web("operator")
    body = {"is_paused": True}
    assert client.patch("/api/v1/dags/etl", json=body).status_code == 403
    headers = {"X-CSRF-Token": client.csrf_token}
    assert client.patch("/api/v1/dags/etl", json=body, headers=headers).status_code == 200
    foreign = {**headers, "Origin": "http://evil.example"}
    assert client.patch("/api/v1/dags/etl", json=body, headers=foreign).status_code == 403


@pytest.mark.parametrize("query", ["limit=0", "limit=1000000000", "limit=x", "after=" + "x" * 900])
def test_a_limit_out_of_bounds_is_refused(api: Api, query: str) -> None:
    assert api("viewer").get(f"/api/v1/dags?{query}").status_code == 422


@pytest.mark.parametrize("name", ["..", "a%2Fb", "%00", "a" * 300, "a b", "ä", "%ff"])
def test_an_impossible_name_is_refused(api: Api, name: str) -> None:
    for url in (f"/api/v1/dags/{name}/runs", f"/api/v1/dags/x/runs/{name}"):
        assert api("viewer").get(url).status_code in (400, 404, 422)


def test_every_route_is_described_with_the_role_that_it_needs(api: Api, web_app: FastAPI) -> None:
    document = api("viewer").get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len(operations) >= 25
    assert all(one["x-least-role"] in ("viewer", "operator", "admin") for one in operations)
    assert all(one["summary"] for one in operations)
    assert json.loads(json.dumps(describe(web_app.router.routes))) == document


def test_text_that_a_database_refuses_is_kept_readable(api: Api) -> None:
    client = api("admin")
    body = json.dumps({"slots": 1, "description": "a\u0000b\ud800c"})
    answer = client.put("/api/v1/pools/narrow", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 422)
    assert client.get("/api/v1/pools").status_code == 200
