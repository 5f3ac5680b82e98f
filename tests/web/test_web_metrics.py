"""`/metrics`: a token or a login is needed, unless a setting opens it to clients on this host."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from elastic.web.app import create_app
from tests.web.web_client import Api, WebClient

BASE = "http://127.0.0.1:8080"


def test_metrics_need_a_login_or_a_token(web: Callable[..., WebClient], api: Api) -> None:
    assert web(None).get("/metrics").status_code in (303, 401)
    for client in (web("viewer"), api("viewer")):
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "# TYPE elastic_turn_seconds histogram" in answer.text


def test_a_setting_opens_metrics_to_clients_on_this_host_alone(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("ELASTIC__METRICS__OPEN_ON_LOOPBACK", "true")
    app: FastAPI = create_app(request.getfixturevalue("web_context"))
    here = TestClient(app, base_url=BASE, client=("127.0.0.1", 5), follow_redirects=False)
    assert here.get("/metrics").status_code == 200
    assert here.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code in (303, 401)
    elsewhere = TestClient(app, base_url=BASE, client=("192.0.2.1", 5), follow_redirects=False)
    assert elsewhere.get("/metrics").status_code in (303, 401)
