"""Pages of runs, and the forms that clear and trigger."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import update

from elastic.dag import DAG
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries, transitions
from elastic.db.schema import dag_run
from elastic.db.stores.dags import set_paused
from elastic.operators import EmptyOperator
from elastic.web.context import WebContext
from tests.web.dag_page_samples import MARKUP, Sample, key_of, sample_run_id

VIEWS = ("tasks", "graph", "attempts", "conf")


@pytest.fixture
def sample(web_context: WebContext) -> Sample:
    """A DAG with a run that succeeded, one that failed and one that runs."""
    found = Sample(web_context.deployment)
    found.run(0)
    found.run(1, RunState.FAILED, load__prices=TaskState.FAILED, stats__totals=TaskState.UPSTREAM_FAILED, mail=None)
    found.run(2, RunState.RUNNING, stats__totals=TaskState.RUNNING, mail=None)
    return found


def address(day: int) -> str:
    return f"/dags/etl/runs/{sample_run_id(day)}"


def names_in(page: str) -> list[str]:
    return re.findall(r'<a class="name"[^>]*>([^<]+)</a>', page)


def states_of(sample: Sample, day: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in queries.instances(sample.database, "etl", [sample_run_id(day)]):
        found.setdefault(one.task_id, []).append(str(one.state))
    return found


def test_a_run_lists_what_failed_first_with_the_error(web: Any, sample: Sample) -> None:
    page = web("viewer").get(address(1)).text
    assert names_in(page)[0] == "load.prices[1]"
    assert "ValueError: invalid literal for int()" in page
    assert "1 min 30 s" in page
    assert names_in(page)[-1] == "load.wait"


def test_a_failed_task_is_two_clicks_from_its_traceback(web: Any, sample: Sample) -> None:
    client = web("viewer")
    home = client.get("/").text
    squares = re.findall(r'href="(/dags/etl/runs/[^"]+)" class="s-failed"', home)
    assert squares == [address(1)]
    failed = re.findall(r'<a class="name" href="([^"]+)"', client.get(squares[0]).text)[0]
    assert "Traceback (most recent call last)" in client.get(failed).text


def test_instances_are_filtered_by_state_task_and_group(web: Any, sample: Sample) -> None:
    client = web("viewer")
    assert names_in(client.get(f"{address(1)}?state=failed").text) == ["load.prices[1]"]
    assert names_in(client.get(f"{address(1)}?task=mail").text) == ["mail"]
    assert names_in(client.get(f"{address(1)}?group=stats").text) == ["stats.totals"]
    assert "No task instance matches" in client.get(f"{address(1)}?state=running").text


def test_a_run_of_many_tasks_is_paged(web: Any, web_context: WebContext) -> None:
    with DAG("etl", schedule="@daily", start_date="2026-03-02") as dag:
        for number in range(120):
            EmptyOperator(task_id=f"t{number:03}")
    Sample(web_context.deployment, dag).run(0, RunState.FAILED, t077=TaskState.FAILED, t099=TaskState.FAILED)
    client, url, found = web("viewer"), address(0), []
    for _ in range(4):
        page = client.get(url).text
        found += names_in(page)
        following = re.search(r'href="([^"]+)" rel="next">Next', page)
        if not following:
            break
        url = following[1].replace("&amp;", "&")
    assert found[:2] == ["t077", "t099"]
    assert sorted(found) == [f"t{number:03}" for number in range(120)]


@pytest.mark.parametrize("after", ["x", "1", "1.2", "9999.-1.a", "1.x.t", "0.-1.é", "x" * 300])
def test_an_odd_position_shows_the_first_page(web: Any, sample: Sample, after: str) -> None:
    page = web("viewer").get(f"{address(1)}", params={"after": after})
    assert page.status_code == 200
    assert "is ignored" in page.text or "the first page is shown" in page.text


@pytest.mark.parametrize("view", VIEWS)
def test_markup_in_texts_of_a_run_stays_text(web: Any, web_context: WebContext, view: str) -> None:
    sample = Sample(web_context.deployment)
    sample.run(0, RunState.FAILED, load__prices=TaskState.FAILED, mail=TaskState.UPSTREAM_FAILED)
    asked = sample.queued(5, conf={"text": MARKUP})
    for run_id in (sample_run_id(0), asked.run_id):
        page = web("operator").get(f"/dags/etl/runs/{run_id}?view={view}").text
        assert "<img src=x" not in page
        assert not re.search(r"\son\w+=|style=|javascript:", page.replace("onerror=alert(1)&gt;", ""))
    if view == "conf":
        assert "&lt;img src=x" in page
        assert "{{ 7 * 7 }}" in page


def test_a_run_leads_to_the_runs_beside_it(web: Any, sample: Sample) -> None:
    page = web("viewer").get(address(1)).text
    assert f'rel="prev" href="{address(0)}"' in page
    assert f'rel="next" href="{address(2)}"' in page
    assert 'rel="prev"' not in web("viewer").get(address(0)).text
    assert 'rel="next"' not in web("viewer").get(address(2)).text


def test_a_queued_run_says_why_it_waits(web: Any, sample: Sample) -> None:
    run = sample.queued(7)
    set_paused(sample.database, "etl", paused=True)
    page = web("viewer").get(f"/dags/etl/runs/{run.run_id}").text
    assert "The run is waiting." in page
    assert "DAG &#39;etl&#39; is paused" in page
    assert "no master is alive" in page


def test_an_unknown_run_offers_similar_ones(web: Any, sample: Sample) -> None:
    answer = web("viewer").get(f"{address(1)[:-1]}1")
    assert answer.status_code == 404
    assert f"DAG &#39;etl&#39; has no run &#39;{sample_run_id(1)[:-1]}1&#39;." in answer.text
    assert f'href="{address(1)}"' in answer.text


def test_after_clearing_a_run_of_a_command_the_page_says_how_it_runs(web: Any, sample: Sample) -> None:
    run = sample.queued(5, is_served=False)
    with sample.database.begin() as connection:
        connection.execute(update(dag_run).where(dag_run.c.run_id == run.run_id).values(state=RunState.FAILED))
    page = web("operator").followed("/dags/etl/clear", run=run.run_id)
    assert f"cleared. Run them with <code>elastic backfill etl --runs {run.run_id}</code>." in page


def test_clearing_lists_first_and_clears_then(web: Any, sample: Sample) -> None:
    client = web("operator")
    url = f"/dags/etl/clear?run={sample_run_id(1)}&task=load.prices&map=1"
    page = client.get(url).text
    assert names_in(page) == ["load.prices[1]", "stats.totals"]
    assert "Clear 2 task instances" in page
    assert states_of(sample, 1)["stats.totals"] == ["upstream_failed"], "the list changed something"
    page = client.followed("/dags/etl/clear", run=sample_run_id(1), task="load.prices", map="1", tick=["downstream"])
    assert "2 task instances were cleared. They run again as soon as possible." in page
    assert states_of(sample, 1) == {
        "load.wait": ["success"],
        "load.prices": ["success", "None", "success"],
        "stats.totals": ["None"],
        "mail": ["None"],
    }
    run = queries.run_of_id(sample.database, "etl", sample_run_id(1))
    assert run is not None
    assert run.state is RunState.QUEUED


@pytest.mark.parametrize(
    ("ticks", "count"),
    [
        ("", 1),
        ("&upstream=1", 5),
        ("&downstream=1", 1),
        ("&past=1", 2),
        ("&future=1", 2),
        ("&past=1&future=1", 3),
        ("&past=1&future=1&only_failed=1", 1),
    ],
)
def test_boxes_widen_what_is_cleared(web: Any, sample: Sample, ticks: str, count: int) -> None:
    task = "stats.totals"
    page = web("operator").get(f"/dags/etl/clear?run={sample_run_id(1)}&task={task}&asked=1{ticks}").text
    assert f"Clear {count} task instance" in page
    assert len(names_in(page)) == count


def test_a_whole_run_is_cleared(web: Any, sample: Sample) -> None:
    page = web("operator").followed("/dags/etl/clear", run=sample_run_id(0))
    assert "6 task instances were cleared." in page
    assert {state for found in states_of(sample, 0).values() for state in found} == {"None"}
    again = web("operator").get(f"/dags/etl/clear?run={sample_run_id(0)}").text
    assert "Nothing to clear" in again
    assert re.search(r"<button[^>]*disabled[^>]*>Clear 0", again)


def test_clearing_active_instances_is_pointed_out(web: Any, sample: Sample) -> None:
    page = web("operator").get(f"/dags/etl/clear?run={sample_run_id(2)}").text
    assert "1 of them is queued or running." in page


def test_clearing_needs_the_right_and_a_known_task(web: Any, sample: Sample) -> None:
    assert web("viewer").get(f"/dags/etl/clear?run={sample_run_id(1)}").status_code == 403
    assert web("viewer").submit("/dags/etl/clear", run=sample_run_id(1)).status_code == 403
    client = web("operator")
    assert client.post("/dags/etl/clear", data={"run": sample_run_id(1)}).status_code == 403
    assert client.get("/dags/etl/clear?run=none").status_code == 404
    answer = client.get(f"/dags/etl/clear?run={sample_run_id(1)}&task=none")
    assert answer.status_code == 409
    assert "has no task &#39;none&#39; in its current version" in answer.text
    assert client.submit("/dags/etl/clear", run=sample_run_id(1), task="mail", map="-3").status_code == 400


def test_a_run_is_started_with_parameters(web: Any, web_context: WebContext) -> None:
    sample = Sample(web_context.deployment)
    client = web("operator")
    assert "Logical date" in client.get("/dags/etl/trigger").text
    client.cookies.set("elastic_zone", "Europe/Berlin")
    conf = {"full": True, "text": MARKUP, "number": 1.5}
    answer = client.submit("/dags/etl/trigger", date="2026-03-09T01:00", run_id="mine", conf=json.dumps(conf))
    assert answer.headers["location"] == "/dags/etl/runs/mine"
    run = queries.run_of_id(sample.database, "etl", "mine")
    assert run is not None
    assert (dict(run.conf), run.is_served) == (conf, True)
    assert run.logical_date.isoformat() == "2026-03-09T00:00:00+00:00"
    assert "Run mine of etl is queued; run it with" in client.get("/dags/etl/runs/mine").text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("conf", "{full}", "The parameters are not valid JSON"),
        ("conf", "[1]", "The parameters must be a JSON object"),
        ("conf", '{"a": NaN}', "NaN is not a JSON number"),
        ("conf", '{"a": 1e999}', "is not a JSON number"),
        ("conf", '{"a": ' + "[" * 25 + "]" * 25 + "}", "nested more than 20 levels deep"),
        ("conf", "[" * 60_000, "The parameters are not valid JSON"),
        ("conf", '"' + "x" * 70_000 + '"', "longer than 64 KiB"),
        ("date", "yesterday", "is not valid"),
        ("date", "9999-12-31T23:30", "expected a year from 1900 to 8999"),
        ("run_id", "a/b", "nvalid run_id"),
        ("run_id", "x" * 300, "nvalid run_id"),
    ],
)
def test_a_refused_form_comes_back_as_it_was_typed(
    web: Any, web_context: WebContext, field: str, value: str, sentence: str
) -> None:
    sample = Sample(web_context.deployment)
    given = {"date": "2026-03-09T00:00", "run_id": "mine", "conf": '{"full": true}', field: value}
    answer = web("operator").submit("/dags/etl/trigger", **given)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert value[:20].replace('"', "&#34;") in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert queries.runs(sample.database, "etl") == []


def test_a_second_run_for_a_date_is_refused_with_the_form(web: Any, sample: Sample) -> None:
    answer = web("operator").submit("/dags/etl/trigger", date="2026-03-02T01:00:00", conf="{}")
    assert answer.status_code == 422
    assert "has a run for 2026-03-02 01:00:00 UTC already" in answer.text


def test_starting_a_run_needs_the_right(web: Any, sample: Sample) -> None:
    assert web("viewer").get("/dags/etl/trigger").status_code == 403
    assert web("viewer").submit("/dags/etl/trigger").status_code == 403
    assert web("operator").post("/dags/etl/trigger", data={"conf": "{}"}).status_code == 403


def test_marking_a_run_lists_first_and_marks_then(web: Any, sample: Sample) -> None:
    client = web("operator")
    assert f'href="{address(1)}/mark?state=success"' in client.get(address(1)).text
    page = client.get(f"{address(1)}/mark?state=success").text
    assert names_in(page) == ["load.prices[1]", "mail", "stats.totals"]
    assert "Mark run success and 3 task instances" in page
    assert states_of(sample, 1)["mail"] == ["None"], "the list changed something"
    page = client.followed(f"{address(1)}/mark", state="success")
    assert "The run was marked success, with 3 task instances." in page
    assert {state for found in states_of(sample, 1).values() for state in found} == {"success"}
    run = queries.run_of_id(sample.database, "etl", sample_run_id(1))
    assert run is not None
    assert run.state is RunState.SUCCESS
    again = client.get(f"{address(1)}/mark?state=success").text
    assert "Nothing to change" in again
    assert re.search(r"<button[^>]*disabled[^>]*>Mark run success", again)
    assert "Nothing was changed" in client.followed(f"{address(1)}/mark", state="success")


def test_marking_a_running_run_failed_ends_its_attempts(web: Any, sample: Sample) -> None:
    client = web("operator")
    page = client.get(f"{address(2)}/mark?state=failed").text
    assert names_in(page) == ["mail", "stats.totals"]
    assert "1 of them is queued or running. The current attempt ends." in page
    assert "with 2 task instances" in client.followed(f"{address(2)}/mark", state="failed")
    assert states_of(sample, 2)["load.wait"] == ["success"]
    assert states_of(sample, 2)["stats.totals"] == states_of(sample, 2)["mail"] == ["failed"]
    run = queries.run_of_id(sample.database, "etl", sample_run_id(2))
    assert run is not None
    row = queries.instance(sample.database, key_of(run, "stats.totals"))
    assert row is not None
    assert row.note == "run set to failed by operator"
    attempt = queries.attempt(sample.database, row.attempt_uuid or "")
    assert attempt is not None
    assert (attempt.state, attempt.error) == (TaskState.FAILED, "run set to failed by operator")
    events = {(one.event, one.owner) for one in queries.events(sample.database)[-3:]}
    assert events == {("run failed", "operator"), ("marked failed", "operator")}


def test_marking_a_run_ends_the_claim_of_a_master(web: Any, sample: Sample) -> None:
    run = sample.queued(7)
    claims = transitions.take_runs(sample.database, "host:1:2", 30)
    claim = next(one for one in claims if one.run.run_id == run.run_id)
    web("operator").followed(f"{address(7)}/mark", state="failed")
    assert ("etl", run.run_id) not in transitions.renew_claims(sample.database, "host:1:2", 30)
    assert not transitions.end_claimed_run(sample.database, claim, RunState.SUCCESS)
    found = queries.run_of_id(sample.database, "etl", run.run_id)
    assert found is not None
    assert found.state is RunState.FAILED


def test_marking_a_run_needs_the_right_and_a_valid_state(web: Any, sample: Sample) -> None:
    assert "/mark" not in web("viewer").get(address(1)).text
    assert web("viewer").get(f"{address(1)}/mark").status_code == 403
    client = web("operator")
    assert client.get(f"{address(1)}/mark?state=odd").status_code == 200
    for state in ("", "running", "queued", "skipped", "é"):
        assert client.submit(f"{address(1)}/mark", state=state).status_code == 400
    assert client.get("/dags/etl/runs/none/mark").status_code == 404
    assert client.submit("/dags/etl/runs/none/mark", state="failed").status_code == 404
