"""Backfills of the API, which masters carry out."""

import pytest

from elastic.db import transitions
from elastic.db.transitions import BackfillState
from elastic.web.context import WebContext
from tests.web.dag_page_samples import Sample
from tests.web.web_client import Api

RANGE = {"dag_id": "etl", "from_date": "2026-03-02T00:00:00Z", "to_date": "2026-03-08T00:00:00+00:00"}
ADDRESS = "/api/v1/backfills"


@pytest.fixture
def sample(web_context: WebContext) -> Sample:
    """A stored DAG."""
    return Sample(web_context.deployment)


def test_a_backfill_is_started_paused_resumed_and_canceled(api: Api, sample: Sample) -> None:
    client = api("operator")
    answer = client.post(ADDRESS, json={**RANGE, "max_active_runs": 2})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert (made["dag_id"], made["state"], made["max_active_runs"], made["owner"]) == ("etl", "running", 2, "operator")
    address = answer.headers["location"]
    assert client.get(address).json() == made
    for state in ("paused", "running", "canceled"):
        assert client.patch(address, json={"state": state}).json()["state"] == state
    refused = client.patch(address, json={"state": "paused"})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"Backfill {made['id']} of DAG 'etl' is canceled and cannot become paused.",
    )
    assert [one["id"] for one in client.get(ADDRESS, params={"dag": "etl"}).json()["items"]] == [made["id"]]
    assert transitions.backfill_of(sample.database, made["id"]).state is BackfillState.CANCELED


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        ({"dag_id": "elt"}, 404, "'elt'"),
        ({"from_date": "2026-03-02"}, 400, "'2026-03-02' is no time with a zone"),
        ({"to_date": "2026-03-01T00:00:00Z"}, 400, "he range ends"),
        ({"from_date": "2099-01-01T00:00:00Z", "to_date": "2099-01-02T00:00:00Z"}, 400, "no interval in the range"),
    ],
)
def test_a_backfill_that_cannot_be_started_is_refused(
    api: Api, sample: Sample, values: dict[str, str], status: int, sentence: str
) -> None:
    answer = api("operator").post(ADDRESS, json={**RANGE, **values})
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["detail"]
    assert transitions.backfills(sample.database) == []


def test_only_operators_start_and_change_backfills(api: Api, sample: Sample) -> None:
    made = api("operator").post(ADDRESS, json=RANGE).json()
    assert api("viewer").get(f"{ADDRESS}/{made['id']}").status_code == 200
    assert api("viewer").post(ADDRESS, json=RANGE).status_code == 403
    assert api("viewer").patch(f"{ADDRESS}/{made['id']}", json={"state": "paused"}).status_code == 403
    assert api("viewer").get(f"{ADDRESS}/999").status_code == 404
