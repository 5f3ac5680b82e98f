"""API: runs of flows, their chunks, dead letters and actions, and the records of the installation."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from elastic.db import queries
from elastic.db.database import Database
from elastic.db.stores.dags import set_import_errors
from tests.web.web_client import Api, WebClient
from tests.web.web_samples import store_dag, store_run

Web = Callable[[str | None], WebClient]


@pytest.fixture
def base(flow_run: Path) -> str:
    return f"/api/v1/flows/{flow_run.name}"


def test_runs_of_flows_are_listed(api: Api, base: str, flow_run: Path) -> None:
    client = api("viewer")
    assert [one["run_id"] for one in client.get("/api/v1/flows?bad=true").json()["items"]] == [flow_run.name]
    assert client.get("/api/v1/flows?state=damaged").json()["items"] == []
    assert client.get(base).json() == {"run_id": flow_run.name, "steps": [0]}
    missing = client.get(f"/api/v1/flows/{flow_run.name[:-1]}x").json()
    assert (missing["status"], missing["near"]) == (404, [flow_run.name])


def test_a_step_has_figures_workers_and_chunks(api: Api, web: Web, base: str, flow_run: Path) -> None:
    client = api("viewer")
    step = client.get(f"{base}/steps/0").json()
    assert (step["aggregated"], step["total"], step["letters"]) == (10, 10, 3)
    workers = client.get(f"{base}/steps/0/workers").json()
    assert sum(one["chunks"] for one in workers["items"]) == 10
    cells = client.get(f"{base}/steps/0/chunks").content
    (length,) = struct.unpack("<I", cells[:4])
    assert len(cells) == 4 + length + 10
    assert cells == web("viewer").get(f"/flows/{flow_run.name}/0/cells").content
    assert client.get(f"{base}/steps/0/chunks?by=none").status_code == 400
    assert client.get(f"{base}/steps/7").status_code == 404


def test_a_chunk_has_receipts(api: Api, base: str) -> None:
    client = api("viewer")
    chunk = client.get(f"{base}/steps/0/chunks/1").json()
    assert (chunk["failed"], chunk["letters"], chunk["is_aggregated"]) == (2, ["1-0", "1-2"], True)
    receipts = client.get(f"{base}/steps/0/chunks/1/receipts").json()
    assert [one["stage"] for one in receipts["items"]] == [one["stage"] for one in chunk["stations"]]
    assert len(receipts["items"]) == 6
    assert client.get(f"{base}/steps/0/chunks/10").status_code == 404


def test_dead_letters_are_grouped_listed_and_shown(api: Api, base: str) -> None:
    client = api("viewer")
    groups = client.get(f"{base}/steps/0/letter-groups").json()
    assert sum(one["count"] for one in groups["items"]) == groups["total"] == 3
    first = client.get(f"{base}/steps/0/letters?limit=2").json()
    rest = client.get(first["next"]).json()
    assert [one["key"] for one in first["items"] + rest["items"]] == ["1-0", "1-2", "5-chunk"]
    letter = client.get(f"{base}/steps/0/letters/1-2").json()
    assert "ff 00" in letter["hex"]
    assert letter["error_type"]
    assert client.get(f"{base}/steps/0/letters/1-1").json()["near"]
    assert client.get(f"{base}/steps/0/letters?after=x").status_code == 400


def test_an_action_is_started_with_its_address(
    api: Api, base: str, web_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elastic.run_actions._PROCESS", "json.tool")
    client = api("operator")
    refused = client.post(f"{base}/resume", json={})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "The step is complete, so there is nothing to resume.",
    )
    done = client.post(f"{base}/verify", json={"step": 0})
    assert done.status_code == 202
    action = client.get(done.headers["location"]).json()
    assert (action["kind"], action["owner"], action["step"]) == ("verify", "operator", 0)
    assert client.get(f"{done.headers['location']}/log").text == ""
    assert len(client.get(f"{base}/actions").json()["items"]) == 1
    assert client.get(f"{base}/steps/0/proof").json() == {"action": None, "proof": None}
    assert queries.events(web_database)[-1].event == "flow_verify"
    assert client.post(f"{base}/verify", json={"step": -1}).status_code == 422
    assert client.post(f"{base}/verify", json={"step": 10**30}).status_code == 422
    assert api("viewer").post(f"{base}/verify", json={}).status_code == 403


def test_a_damaged_run_is_a_conflict(api: Api, base: str, flow_run: Path) -> None:
    (flow_run / "run.sqlite").write_bytes(b"no database" * 1000)
    assert api("viewer").get(f"{base}/steps/0").status_code == 409
    shutil.rmtree(flow_run)
    assert api("viewer").get(f"{base}/steps/0").status_code == 404


def test_records_of_the_installation_are_listed(api: Api, web_database: Database) -> None:
    store_dag(web_database)
    store_run(web_database)
    set_import_errors(web_database, {"/dags/old.py": "Traceback\nValueError: x\n"})
    admin = api("admin")
    assert admin.get("/api/v1/jobs").json() == {"items": [], "next": None}
    assert admin.get("/api/v1/import-errors").json()["items"][0]["path"] == "/dags/old.py"
    page = admin.get("/api/v1/audit?limit=1").json()
    later = admin.get(page["next"]).json()
    assert page["items"][0]["id"] > later["items"][0]["id"]
    assert admin.get("/api/v1/audit?users=true&dag=etl").json()["items"] == []
    names = {one["name"] for one in admin.get("/api/v1/settings").json()["items"]}
    assert "web.port" in names
    for name in ("audit", "settings"):
        assert api("operator").get(f"/api/v1/{name}").status_code == 403
