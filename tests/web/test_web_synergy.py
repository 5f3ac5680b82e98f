"""Addresses of Synergy, and further executions of finished runs by the API."""

from collections.abc import Callable
from typing import Any

import pytest

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.db.records import DagRun
from elastic.web.context import WebContext
from tests.web.dag_page_samples import Sample, key_of
from tests.web.web_client import Api, WebClient

Web = Callable[[str | None], WebClient]


@pytest.fixture
def sample(web_context: WebContext) -> Sample:
    """A stored DAG."""
    return Sample(web_context.deployment)


@pytest.fixture
def failed(sample: Sample) -> DagRun:
    """A run in which one of three copies of a task failed."""
    return sample.run(1, RunState.FAILED, load__prices=TaskState.FAILED, stats__totals=TaskState.UPSTREAM_FAILED)


def asked(run: DagRun, **more: str) -> dict[str, str]:
    return {"flow_name": run.dag_id, "timeperiod": str(run.timeperiod), **more}


def states(sample: Sample, run: DagRun) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for one in queries.instances(sample.database, run.dag_id, [run.run_id]):
        found.setdefault(one.task_id, set()).add(one.state)
    return found


def test_a_flow_and_its_steps_have_the_states_of_synergy(web: Web, sample: Sample, failed: DagRun) -> None:
    client = web("viewer")
    flow = client.get("/flow/flow/details/", params=asked(failed)).json()
    assert (flow["flow_name"], flow["state"], flow["run_id"]) == ("etl", "invalid", failed.run_id)
    steps = client.get("/flow/step/details/", params=asked(failed, step_name="load.prices")).json()["steps"]
    assert [one["state"] for one in steps] == ["processed", "invalid", "processed"]
    assert client.get(steps[1]["url"]).status_code == 200
    answer = client.get("/flow/viewer/", params=asked(failed))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/dags/etl/runs/{failed.run_id}?view=graph")


def test_the_log_of_a_flow_and_of_a_step_comes_from_the_database(web: Web, sample: Sample, failed: DagRun) -> None:
    sample.line(key_of(failed, "load.prices", 1), "one line of the step")
    (line,) = web("viewer").get("/flow/step/log/", params=asked(failed, step_name="load.prices")).json()["log"]
    assert line.endswith("INFO one line of the step")
    assert web("viewer").get("/flow/flow/log/", params=asked(failed)).json() == {"log": []}
    assert web("viewer").get("/flow/step/log/", params=asked(failed, step_name="mail")).json() == {"log": []}


def test_recovery_runs_what_is_not_done(web: Web, sample: Sample, failed: DagRun) -> None:
    before = states(sample, failed)
    answer = web("operator").submit("/flow/run/mode/", **asked(failed, run_mode="recovery"))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["mode"], answer.json()["flow"]["state"]) == ("recovery", "embryo")
    after = states(sample, failed)
    assert after["load.prices"] == after["stats.totals"] == {None}
    assert {task: found for task, found in after.items() if found == {TaskState.SUCCESS}} == {
        task: found for task, found in before.items() if found == {TaskState.SUCCESS}
    }
    (_, second) = queries.run_attempts(sample.database, failed.dag_id, failed.run_id)
    assert (second.mode, second.owner) == ("recovery", "operator")
    again = web("operator").submit("/flow/run/mode/", **asked(failed))
    assert again.status_code == 409
    assert again.json()["detail"].startswith("Job is not finished: run ")


def test_one_step_or_all_from_a_step_run_again(web: Web, sample: Sample, failed: DagRun) -> None:
    done = sample.run(2)
    answer = web("operator").submit("/flow/run/one_step/", **asked(done, step_name="load.prices"))
    assert (answer.status_code, answer.json()["steps_to_run"]) == (200, 3)
    assert [task for task, found in states(sample, done).items() if found == {None}] == ["load.prices"]
    other = sample.run(3)
    assert web("operator").submit("/flow/run/from_step/", **asked(other, step_name="load.prices")).status_code == 200
    again = {task for task, found in states(sample, other).items() if found == {None}}
    assert {"load.prices", "stats.totals"} <= again < set(sample.dag.task_ids)
    refused = web("operator").submit("/flow/run/one_step/", **asked(failed, step_name="stats.totals"))
    assert refused.status_code == 400
    assert "cannot run: 'load.prices' before it is not done; run it first" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        ({"flow_name": "elt"}, 404, "elt"),
        ({"timeperiod": "20990101"}, 404, "20990101"),
        ({"timeperiod": "é"}, 404, "é"),
        ({"run_mode": "again"}, 400, "'again' is no mode of a flow"),
    ],
)
def test_what_does_not_exist_is_named(
    web: Web, failed: DagRun, values: dict[str, str], status: int, sentence: str
) -> None:
    answer = web("operator").submit("/flow/run/mode/", **(asked(failed) | values))
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]


def test_only_operators_run_a_flow_again(web: Web, failed: DagRun) -> None:
    for address in ("mode", "one_step", "from_step"):
        data = asked(failed, step_name="load.prices")
        assert web("viewer").post(f"/flow/run/{address}/", data=data).status_code == 403
        assert web(None).post(f"/flow/run/{address}/", data=data).status_code == 401
    assert web(None).get("/flow/flow/details/", params=asked(failed)).status_code == 401


def test_the_api_runs_a_finished_run_again(api: Api, sample: Sample, failed: DagRun) -> None:
    client, run = api("operator"), f"/api/v1/dags/etl/runs/{failed.run_id}"
    answer = client.post(f"{run}/run-from", json={"task_id": "load.prices"})
    assert (answer.status_code, answer.json()["mode"], answer.headers["location"]) == (202, "run_from", run)
    assert answer.json()["run"]["state"] == "queued"
    assert client.post(f"{run}/recover").status_code == 409
    other = sample.run(2)
    unknown = client.post(f"/api/v1/dags/etl/runs/{other.run_id}/run-one", json={"task_id": "none"})
    assert (unknown.status_code, unknown.json()["detail"]) == (
        400,
        "DAG 'etl' has no task 'none'; run `elastic tasks list` for all tasks.",
    )


def test_pages_run_a_finished_run_again(web: Web, sample: Sample, failed: DagRun) -> None:
    page, client = f"/dags/etl/runs/{failed.run_id}", web("operator")
    assert f'action="{page}/rerun"' in client.get(page).text
    assert f'action="{page}/rerun"' in client.get(f"{page}/tasks/load.prices/1").text
    assert f'action="{page}/rerun"' not in web("viewer").get(page).text
    assert client.submit(f"{page}/rerun", mode="again").status_code == 400
    assert "is queued again, with 3 task instances to run." in client.followed(
        f"{page}/rerun", mode="run_one", task_id="load.prices"
    )
    assert f'action="{page}/rerun"' not in client.get(page).text
    assert client.submit(f"{page}/rerun", mode="recovery").status_code == 409
