"""API: request rates of tokens, and idempotency keys."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from elastic.db import queries
from elastic.db.database import Database
from elastic.db.schema import idempotency_key
from elastic.db.stores.idempotency_keys import IdempotencyKeyStore
from elastic.web.security.request_rates import RequestRates
from tests.web.web_client import Api
from tests.web.web_samples import NOW, store_dag

RUNS = "/api/v1/dags/etl/runs"


def test_a_token_may_send_a_burst_and_then_its_rate() -> None:
    time = [0.0]
    rates = RequestRates(lambda: time[0], rate=20, burst=40)
    assert [rates.take(1) for _ in range(40)] == [0.0] * 40
    assert rates.take(1) == pytest.approx(0.05)
    assert rates.take(2) == 0, "another token waited"
    time[0] = 0.05
    assert (rates.take(1), rates.take(1) > 0) == (0, True)
    time[0] = 1000
    assert [rates.take(1) for _ in range(41)].count(0) == 40, "the bucket holds more than a burst"


def test_a_token_that_is_too_fast_is_told_when_to_come_back(api: Api, web_app: FastAPI) -> None:
    web_app.state.rates = RequestRates(lambda: 0.0, rate=0.1, burst=2)
    client = api("viewer")
    codes = [client.get("/api/v1/me").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    refused = client.get("/api/v1/me")
    assert (refused.headers["retry-after"], refused.json()["status"]) == ("10", 429)
    assert api("viewer").get("/api/v1/me").status_code == 200


def post(client: TestClient, key: str, body: Any, url: str = RUNS) -> Any:
    return client.post(url, json=body, headers={"Idempotency-Key": key})


def test_a_repeated_request_gets_the_first_answer(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client = api("operator")
    first, again = (post(client, "one", {"run_id": "mine"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.content, first.headers["location"]) == (again.content, again.headers["location"])
    assert again.headers["idempotency-replayed"] == "true"
    assert len(queries.runs(web_database)) == 1
    assert post(client, "one", {"run_id": "other"}).status_code == 422
    assert post(client, "two", {"run_id": "other"}).status_code == 201
    assert post(api("admin"), "one", {"run_id": "third"}).status_code == 201, "users shared a key"


def test_a_failed_request_may_be_repeated(api: Api, web_database: Database) -> None:
    client = api("operator")
    assert post(client, "one", {"run_id": "mine"}).status_code == 404
    assert post(client, "two", {"run_id": 1}).status_code == 422
    store_dag(web_database)
    assert post(client, "one", {"run_id": "mine"}).status_code == 201
    assert post(client, "two", {"run_id": "other"}).status_code == 201


def test_a_request_that_has_not_ended_is_a_conflict(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    client = api("operator")
    post(client, "one", {"run_id": "mine"})
    with web_database.begin() as connection:
        connection.execute(idempotency_key.update().values(status=None))
    refused = post(client, "one", {"run_id": "mine"})
    assert (refused.status_code, "has not ended" in refused.json()["detail"]) == (409, True)


def test_answers_are_kept_for_a_day(web_database: Database) -> None:
    store = IdempotencyKeyStore(web_database)
    assert store.begin("a", "request", NOW) is None
    store.finish("a", 200, "{}", "first")
    kept = store.begin("a", "request", NOW + dt.timedelta(hours=23))
    assert kept is not None
    assert replace(kept, status=None).body == "first"
    assert store.begin("a", "request", NOW + dt.timedelta(hours=25)) is None


@pytest.mark.parametrize("key", ["", "x" * 256, "\u00e9", "a\tb"])
def test_a_key_that_is_not_valid_is_refused(api: Api, web_database: Database, key: str) -> None:
    store_dag(web_database)
    headers = {"Idempotency-Key": key.encode()}
    assert api("operator").post(RUNS, json={}, headers=headers).status_code == 400
    assert queries.runs(web_database) == []


def test_an_answer_with_a_secret_is_not_kept(api: Api, web_database: Database) -> None:
    refused = post(api("admin"), "one", {"name": "x"}, "/api/v1/tokens")
    assert (refused.status_code, "secret" in refused.json()["detail"]) == (400, True)
