"""Page of a DAG: grid, table, graph, runs and code."""

import json
import re
import struct
from typing import Any

import pytest

from elastic.dag import DAG
from elastic.dag.states.state import RunState, TaskState
from elastic.db.stores.dags import forget_missing, set_paused
from elastic.operators import EmptyOperator
from elastic.web.context import WebContext
from elastic.web.views.state_bytes import ABSENT, byte_of
from tests.web.dag_page_samples import MARKUP, START, Sample, sample_dag, sample_run_id

VIEWS = ("grid", "table", "graph", "runs", "code")


@pytest.fixture
def sample(web_context: WebContext) -> Sample:
    """A DAG with a run that succeeded, one that failed and one that runs."""
    found = Sample(web_context.deployment)
    found.run(0)
    found.run(1, RunState.FAILED, load__prices=TaskState.FAILED, stats__totals=TaskState.UPSTREAM_FAILED, mail=None)
    found.run(2, RunState.RUNNING, load__prices=TaskState.RUNNING, stats__totals=None, mail=None)
    return found


def states_of(client: Any, query: str = "") -> tuple[dict[str, Any], bytes]:
    """Return header and cells of the states."""
    answer = client.get(f"/dags/etl/grid{query}")
    assert answer.status_code == 200, answer.text
    (length,) = struct.unpack("<I", answer.content[:4])
    return json.loads(answer.content[4 : 4 + length]), answer.content[4 + length :]


def test_the_page_names_schedule_version_owner_and_views(web: Any, sample: Sample) -> None:
    page = web("viewer").get("/dags/etl").text
    for text in ("etl", "v1", "@daily", "UTC", "ada", 'href="/dags/etl?view=graph"', 'aria-current="page">Grid'):
        assert text in page
    assert "Run…" not in page, "a viewer sees a button that is refused"
    assert "Run…" in web("operator").get("/dags/etl").text


def test_states_are_one_byte_for_each_task_and_run(web: Any, sample: Sample) -> None:
    client = web("viewer")
    head, cells = states_of(client)
    rows = client.get("/dags/etl/grid/rows").json()["rows"]
    tasks = [row["id"] for row in rows if row["kind"] == 1]
    assert tasks == ["load.wait", "load.prices", "stats.totals", "mail"]
    assert [run["id"] for run in head["runs"]] == [sample_run_id(day) for day in range(3)]
    assert len(cells) == len(tasks) * 3
    by_task = {task: list(cells[at * 3 : at * 3 + 3]) for at, task in enumerate(tasks)}
    assert by_task["load.prices"] == [byte_of("success"), byte_of("failed"), byte_of("running")]
    assert by_task["stats.totals"] == [byte_of("success"), byte_of("upstream_failed"), byte_of(None)]
    assert head["copies"] == {"load.prices": 3}
    assert head["runs"][1]["seconds"] == 90
    assert head["runs"][2]["seconds"] is None


def test_states_are_given_for_the_asked_runs_and_rows_only(web: Any, sample: Sample) -> None:
    client = web("viewer")
    head, cells = states_of(client, "?runs=1")
    assert ([run["id"] for run in head["runs"]], head["earlier"]) == ([sample_run_id(2)], True)
    head, _ = states_of(client, "?before=2026-03-02T12:00:00Z")
    assert ([run["id"] for run in head["runs"]], head["later"]) == ([sample_run_id(0)], True)
    head, cells = states_of(client, f"?run={sample_run_id(1)}&root=stats")
    assert ([run["id"] for run in head["runs"]], list(cells)) == ([sample_run_id(1)], [byte_of("upstream_failed")])
    head, cells = states_of(client, "?run=")
    assert (head["runs"], cells, head["newest"]) == ([], b"", sample_run_id(2))


def test_unchanged_states_are_not_sent_again(web: Any, sample: Sample) -> None:
    client = web("viewer")
    etag = client.get("/dags/etl/grid").headers["etag"]
    assert client.get("/dags/etl/grid", headers={"If-None-Match": etag}).status_code == 304
    sample.run(3)
    assert client.get("/dags/etl/grid", headers={"If-None-Match": etag}).status_code == 200


def test_a_task_that_the_dag_lost_stays_as_a_last_row(web: Any, sample: Sample) -> None:
    with DAG("etl", schedule="@daily", start_date="2026-03-02") as later:
        EmptyOperator(task_id="mail")
    sample = Sample(sample.deployment, later)
    sample.run(4)
    head, cells = states_of(web("viewer"))
    assert head["gone"] == ["load.prices", "load.wait", "stats.totals"]
    assert [run["version"] for run in head["runs"]] == [1, 1, 1, 2]
    prices = cells[4:8]
    assert list(prices) == [byte_of("success"), byte_of("failed"), byte_of("running"), ABSENT]
    assert "gone" in web("viewer").get("/dags/etl?view=table").text


def test_the_table_shows_the_same_without_a_script(web: Any, sample: Sample) -> None:
    client = web("viewer")
    for view in ("grid", "table"):
        page = client.get(f"/dags/etl?view={view}").text
        table = page[page.index("<table") : page.index("</table>")]
        run = sample_run_id(1)
        assert f'href="/dags/etl/runs/{run}/tasks/load.prices" title="failed"' in table
        assert len(re.findall(r"<tr>", table)) == 1 + 1 + 6
        assert "upstream failed" in table
    assert "<noscript>" in client.get("/dags/etl").text


def test_only_failed_rows_are_shown_on_request(web: Any, sample: Sample) -> None:
    page = web("viewer").get("/dags/etl?view=table&failed=1").text
    table = page[page.index("<tbody") : page.index("</tbody>")]
    assert "prices" in table
    assert "totals" in table
    assert "wait" not in table.replace("waits", "")


def test_further_rows_keep_the_rest_of_the_address(web: Any, web_context: WebContext) -> None:
    with DAG("wide", start_date="2026-03-02", schedule="@daily") as dag:
        for number in range(101):
            EmptyOperator(task_id=f"t{number:03}")
    Sample(web_context.deployment, dag).queued()
    query = "view=table&before=2026-03-05&runs=7"
    page = web("viewer").get(f"/dags/wide?{query}").text
    found = re.search(r'<a class="btn small" href="([^"]+)">Next<', page)
    assert found is not None
    assert set(found[1].partition("?")[2].split("&amp;")) >= set(query.split("&"))


def test_the_address_keeps_the_chosen_square(web: Any, sample: Sample) -> None:
    client = web("viewer")
    page = client.get(f"/dags/etl?run={sample_run_id(1)}&task=load.prices").text
    panel = page[page.index('id="panel"') :]
    assert "load.prices[1]: ValueError: invalid literal" in panel
    assert "prices.py:14 in to_cents" in panel
    lost = client.get(f"/dags/etl?run={sample_run_id(1)}&task=none").text
    assert "has no task &#39;none&#39;" in lost


def test_the_panel_of_a_run_names_what_failed_with_its_error(web: Any, sample: Sample) -> None:
    panel = web("operator").get(f"/dags/etl/runs/{sample_run_id(1)}/panel").text
    assert "load.prices[1]" in panel
    assert "ValueError: invalid literal for int()" in panel
    assert f'href="/dags/etl/clear?run={sample_run_id(1)}"' in panel
    assert "Clear" not in web("viewer").get(f"/dags/etl/runs/{sample_run_id(1)}/panel").text


def test_the_panel_of_a_task_shows_why_it_waits(web: Any, sample: Sample) -> None:
    panel = web("viewer").get(f"/dags/etl/runs/{sample_run_id(2)}/tasks/stats.totals/panel").text
    assert "<dt>waiting</dt>" in panel


def test_the_graph_has_the_states_of_the_chosen_run(web: Any, sample: Sample) -> None:
    client = web("viewer")
    page = client.get(f"/dags/etl?view=graph&run={sample_run_id(1)}").text
    assert len(re.findall(r'<a [^>]*class="node ', page)) == 4
    assert re.search(r'class="node s-failed"[^>]*data-task="load.prices"', page)
    assert page.count("<path d=") >= 3
    assert 'class="node s-running"' in client.get("/dags/etl?view=graph").text


def test_runs_are_listed_latest_first_and_filtered_by_state(web: Any, sample: Sample) -> None:
    client = web("viewer")
    page = client.get("/dags/etl?view=runs").text
    places = [page.index(sample_run_id(day)) for day in (2, 1, 0)]
    assert places == sorted(places)
    failed = client.get("/dags/etl?view=runs&state=failed").text
    assert sample_run_id(1) in failed
    assert sample_run_id(0) not in failed
    assert "No queued runs" in client.get("/dags/etl?view=runs&state=queued").text


def test_more_runs_than_fit_are_on_further_pages(web: Any, web_context: WebContext) -> None:
    sample = Sample(web_context.deployment)
    for day in range(60):
        sample.queued(day)
    client, address, found = web("viewer"), "/dags/etl?view=runs", []
    for _ in range(3):
        page = client.get(address).text
        found += re.findall(r'<div class="sub truncate">(manual_\w+)</div>', page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        if not following:
            break
        address = following[1].replace("&amp;", "&")
    assert found == [sample_run_id(day) for day in reversed(range(60))]


def test_code_is_highlighted_without_markup_and_lines_are_linked(web: Any, web_context: WebContext) -> None:
    folder = web_context.deployment.dags_folder
    folder.mkdir(parents=True, exist_ok=True)
    source = f'from elastic.dag import DAG\n# {MARKUP}\nwith DAG("etl", schedule=None) as dag:\n    pass\n'
    (folder / "etl.py").write_text(source)
    from elastic.dag.files.dag_bag import DagBag

    Sample(web_context.deployment, DagBag(folder).get_dag("etl"))
    page = web("viewer").get("/dags/etl?view=code").text
    code = page[page.index('<pre class="code"') : page.index("</pre>")]
    assert code.count('class="line"') == 4
    assert 'href="#L3"' in code
    assert '<span class="hl-k">with</span>' in code
    assert "<img" not in code
    assert "v1, first seen" in page
    assert "has no version v9" in web("viewer").get("/dags/etl?view=code&version=9").text


def test_two_versions_of_the_code_are_compared(web: Any, web_context: WebContext) -> None:
    from elastic.dag.files.dag_bag import DagBag

    folder = web_context.deployment.dags_folder
    folder.mkdir(parents=True, exist_ok=True)
    text = 'from elastic.dag import DAG\nfrom elastic.operators import EmptyOperator\nwith DAG("etl") as dag:\n'
    for task_id in ("first", "second"):
        (folder / "etl.py").write_text(f'{text}    EmptyOperator(task_id="{task_id}")  # {MARKUP}\n')
        Sample(web_context.deployment, DagBag(folder).get_dag("etl"))
    client = web("viewer")
    page = client.get("/dags/etl?view=code&version=2&from=1").text
    diff = page[page.index('<pre class="code diff"') : page.index("</pre>")]
    assert re.findall(r'class="line is-(\w+)"', diff) == ["gap", "del", "add"]
    assert "<img" not in diff
    assert "No difference" in client.get("/dags/etl?view=code&version=2&from=2").text
    assert "no version v7 to compare with" in client.get("/dags/etl?view=code&from=7").text


@pytest.mark.parametrize("view", VIEWS)
def test_a_dag_without_runs_says_what_to_do(web: Any, web_context: WebContext, view: str) -> None:
    Sample(web_context.deployment)
    page = web("operator").get(f"/dags/etl?view={view}")
    assert page.status_code == 200
    assert "No runs yet" in page.text or view == "code"


def test_a_paused_dag_a_gone_dag_and_a_blocked_one_say_so(web: Any, sample: Sample) -> None:
    client = web("operator")
    set_paused(sample.database, "etl", paused=True)
    assert "<span>paused</span>" in client.get("/dags/etl").text
    forget_missing(sample.database, [])
    assert "No file defines this DAG." in client.get("/dags/etl").text


@pytest.mark.parametrize("view", VIEWS)
def test_markup_in_texts_of_a_dag_stays_text(web: Any, web_context: WebContext, view: str) -> None:
    sample = Sample(web_context.deployment, sample_dag(owner=MARKUP))
    sample.run(0, RunState.FAILED, load__prices=TaskState.FAILED, mail=TaskState.UPSTREAM_FAILED)
    page = web("operator").get(f"/dags/etl?view={view}").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert "{{ 7 * 7 }}" in page
    assert not re.search(r"\son\w+=|style=|javascript:", page.replace("onerror=alert(1)&gt;", ""))


def test_rows_are_kept_only_under_the_version_that_they_are_of(web: Any, sample: Sample) -> None:
    client = web("viewer")
    digest = client.get("/dags/etl/grid/rows").json()["digest"]
    kept, old = (client.get(f"/dags/etl/grid/rows?version={one}") for one in (digest, "0" * 64))
    assert kept.headers["cache-control"] == "private, max-age=3600"
    assert "max-age" not in old.headers["cache-control"]
    assert old.json() == kept.json()


@pytest.mark.parametrize("path", ["/dags/etl", "/dags/etl/grid", "/dags/etl/grid/rows"])
def test_an_unknown_dag_offers_similar_ones(web: Any, web_context: WebContext, path: str) -> None:
    Sample(web_context.deployment, sample_dag("etls"))
    answer = web("viewer").get(path)
    assert answer.status_code == 404
    assert '<a class="link" href="/dags/etls">etls</a>' in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "view=nonsense",
        "runs=0",
        "runs=9999999999999999999999",
        "runs=x",
        "before=yesterday",
        "before=9999-12-31",
        "row=-1",
        "row=9999",
        f"run={'x' * 300}",
        "task=%3Cimg%3E",
        "view=runs&state=none",
        "view=runs&before=0000",
        "view=code&version=-1",
        "view=graph&run=none",
        "closed=a&failed=maybe",
    ],
)
def test_values_that_are_not_valid_are_ignored_with_a_notice(web: Any, sample: Sample, query: str) -> None:
    answer = web("viewer").get(f"/dags/etl?{query}")
    assert answer.status_code == 200, answer.text
    assert "<img" not in answer.text


def test_an_unknown_root_offers_similar_tasks(web: Any, sample: Sample) -> None:
    answer = web("viewer").get("/dags/etl?root=load.price")
    assert answer.status_code == 404
    assert 'href="/dags/etl?root=load.prices"' in answer.text


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2fb", "%C3%A9tl", "x" * 300, "%F0%9F%98%80"])
def test_strange_ids_are_unknown_not_errors(web: Any, sample: Sample, name: str) -> None:
    client = web("viewer")
    for path in (f"/dags/{name}", f"/dags/etl/runs/{name}", f"/dags/etl/runs/{sample_run_id(0)}/tasks/{name}"):
        assert client.get(path).status_code in (404, 200 if name == ".." else 404)


def test_times_are_shown_in_the_zone_of_the_user(web: Any, sample: Sample) -> None:
    client = web("viewer")
    moved = {"UTC": "03-03 01:00", "Asia/Kolkata": "03-03 06:30", "America/New_York": "03-02 20:00"}
    for zone, shown in moved.items():
        client.cookies.set("elastic_zone", zone)
        assert f"2026-{shown}:00" in client.get("/dags/etl?view=runs").text
        head, _ = states_of(client)
        assert head["runs"][1]["title"] == f"2026-{shown}:00"
    assert START.hour == 1


def test_a_page_of_many_runs_asks_the_database_a_fixed_number_of_times(web: Any, sample: Sample) -> None:
    from sqlalchemy import event

    client = web("viewer")
    client.get("/dags/etl")
    counts = []
    for day in (10, 30):
        statements: list[str] = []

        def note(*arguments: Any, into: list[str] = statements) -> None:
            into.append(arguments[2])

        event.listen(sample.database.engine, "before_cursor_execute", note)
        client.get("/dags/etl")
        event.remove(sample.database.engine, "before_cursor_execute", note)
        counts.append(len(statements))
        for number in range(5):
            sample.queued(day + number)
    assert counts[0] == counts[1]
