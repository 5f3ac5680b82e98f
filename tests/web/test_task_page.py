"""Pages of task instances: why one failed, its log, why it waits, XComs, attempts, copies, and marks."""

import re
from typing import Any

import pytest

from elastic.config.secret_mask import hide
from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.web.context import WebContext
from tests.web.dag_page_samples import ERROR, MARKUP, Sample, key_of, log_text, sample_run_id

TABS = ("log", "why", "rendered", "xcom", "attempts")


@pytest.fixture
def sample(web_context: WebContext) -> Sample:
    """A DAG with a run that failed and one that runs."""
    found = Sample(web_context.deployment)
    found.run(0, RunState.FAILED, load__prices=TaskState.FAILED, stats__totals=TaskState.UPSTREAM_FAILED, mail=None)
    found.run(1, RunState.RUNNING, stats__totals=TaskState.RUNNING, mail=None)
    return found


def address(task_id: str, day: int = 0) -> str:
    return f"/dags/etl/runs/{sample_run_id(day)}/tasks/{task_id}"


def failed_key(sample: Sample) -> Any:
    run = queries.run_of_id(sample.database, "etl", sample_run_id(0))
    assert run is not None
    return run, key_of(run, "load.prices", 1)


def log_lines(page: str) -> list[str]:
    found = re.search(r'<pre class="log".*?</pre>', page, re.DOTALL)
    assert found, page
    return re.findall(r'<span class="text">(.*?)\n', found[0])


def test_a_failed_task_shows_its_last_line_the_place_and_the_whole_traceback(web: Any, sample: Sample) -> None:
    page = web("viewer").get(address("load.prices/1")).text
    callout = page[page.index("failure-box") : page.index("</section>", page.index("failure-box"))]
    assert "ValueError: invalid literal for int()" in callout
    assert "prices.py:14 in to_cents" in callout
    assert "Traceback (most recent call last)" in callout
    assert page.count("File &#34;/dags/etl.py&#34;, line 12, in load") == 1
    assert "<title>✕ load.prices[1]" in page
    assert "try 1 of 3" in page


def test_a_log_opens_at_the_first_error_of_a_failed_task(web: Any, sample: Sample) -> None:
    run, key = failed_key(sample)
    sample.log(run, key, log_text(3000, error=True, tries=2))
    page = web("viewer").get(address("load.prices/1")).text
    marked = re.search(r'class="line is-error marked" id="b(\d+)"', page)
    assert marked
    assert f'data-marked="b{marked[1]}"' in page
    assert len(log_lines(page)) < 3000
    assert any("failed &lt;img" in line for line in log_lines(page))


def test_a_log_of_a_success_shows_its_end(web: Any, sample: Sample) -> None:
    run = queries.run_of_id(sample.database, "etl", sample_run_id(0))
    assert run is not None
    sample.log(run, key_of(run, "load.wait"), log_text(5000))
    page = web("viewer").get(f"{address('load.wait')}?tab=log").text
    assert log_lines(page)[-1].endswith("line 4999")
    assert "marked" not in page[page.index('<pre class="log"') :]
    at = web("viewer").get(f"{address('load.wait')}?tab=log&at=0").text
    assert any(line.endswith("INFO - line 0") for line in log_lines(at))


def test_pieces_of_a_log_continue_each_other(web: Any, sample: Sample) -> None:
    run, key = failed_key(sample)
    path = sample.log(run, key, "".join(f"line {number}\n" for number in range(20_000)))
    client, url = web("viewer"), f"{address('load.prices/1')}/log"
    last = client.get(url).json()
    before = client.get(f"{url}?before={last['start']}").json()
    texts = [line[3] for line in before["lines"] + last["lines"]]
    assert texts[-1] == "line 19999"
    assert texts == [f"line {number}" for number in range(20_000 - len(texts), 20_000)]
    with path.open("a") as file:
        file.write("new\nand par")
    more = client.get(f"{url}?from={last['end']}").json()
    assert [line[3] for line in more["lines"]] == ["new"]
    assert more["partial"][3] == "and par"


def test_the_raw_log_is_the_file_as_plain_text(web: Any, sample: Sample) -> None:
    run, key = failed_key(sample)
    content = b"\x1b[31m<script>alert(1)</script>\xff\n" * 10_000
    sample.log(run, key, content)
    answer = web("viewer").get(f"{address('load.prices/1')}/log/raw")
    assert answer.content == content
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_missing_log_is_a_sentence_and_the_lines_of_the_database(web: Any, sample: Sample) -> None:
    client, (_, key) = web("viewer"), failed_key(sample)
    page = client.get(address("load.prices/1")).text
    assert re.search(
        r"The log file \S+/etl/load\.prices/2026-03-02T01:00:00\.1 is missing\. It was written on node-2", page
    )
    sample.line(key, f"kept {MARKUP}")
    page = client.get(address("load.prices/1")).text
    assert "These lines are in the database:" in page
    assert "kept &lt;img" in page
    assert client.get(f"{address('load.prices/1')}/log").status_code == 404
    assert "is missing" in client.get(f"{address('load.prices/1')}/log/raw").text


def test_a_log_that_is_a_link_is_not_shown(web: Any, sample: Sample) -> None:
    run, key = failed_key(sample)
    path = sample.log(run, key, "x")
    path.unlink()
    path.symlink_to("/etc/passwd")
    client = web("admin")
    for url in (address("load.prices/1"), f"{address('load.prices/1')}/log", f"{address('load.prices/1')}/log/raw"):
        assert "root:" not in client.get(url).text


@pytest.mark.parametrize("query", ["at=x", "at=-1", "at=99999999999999999999", "at=10", "tab=none", "try=7"])
def test_a_log_takes_no_harm_from_odd_addresses(web: Any, sample: Sample, query: str) -> None:
    run, key = failed_key(sample)
    sample.log(run, key, log_text(10))
    assert web("viewer").get(f"{address('load.prices/1')}?{query}").status_code == 200
    assert web("viewer").get(f"{address('load.prices/1')}/log?{query.replace('at', 'from')}").status_code == 200


def test_verdicts_say_what_a_task_waits_for(web: Any, sample: Sample) -> None:
    page = web("viewer").get(address("mail", 1)).text
    assert 'aria-current="page">Why' in page
    assert "waiting for &#39;stats.totals&#39; (all_success)" in page
    assert "Waiting:" in page
    assert "no master is alive" in page


def test_xcoms_are_shown_as_text(web: Any, sample: Sample) -> None:
    run, key = failed_key(sample)
    client, url = web("viewer"), f"{address('load.prices/1')}"
    assert "No XComs" in client.get(f"{url}?tab=xcom").text
    sample.push(key, "return_value", {"rows": 3, "text": MARKUP})
    sample.push(key, f"big {'x' * 20}".replace(" ", "_"), "y" * 100_000)
    page = client.get(f"{url}?tab=xcom").text
    assert "&#34;rows&#34;: 3" in page
    assert "<img src=x" not in page
    assert "Show all of it" in page
    whole = client.get(f"{url}/xcom/big_{'x' * 20}")
    assert whole.text == f'"{"y" * 100_000}"'
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert client.get(f"{url}/xcom/none").status_code == 404
    assert run.dag_id == "etl"


def test_a_secret_in_an_xcom_is_masked(web: Any, sample: Sample) -> None:
    hide("Qz7-hidden-77c1")
    _, key = failed_key(sample)
    sample.push(key, "url", "postgresql://ada:Qz7-hidden-77c1@shop/orders")
    client, url = web("admin"), f"{address('load.prices/1')}"
    for page in (client.get(f"{url}?tab=xcom").text, client.get(f"{url}/xcom/url").text):
        assert "postgresql://ada:" in page
        assert "hidden-77c1" not in page


def test_attempts_are_listed_with_host_end_and_error(web: Any, sample: Sample) -> None:
    page = web("viewer").get(f"{address('load.prices/1')}?tab=attempts").text
    for text in ("node-2", "pid 811", "signal 9", "ValueError: invalid literal"):
        assert text in page
    assert "No attempts yet" in web("viewer").get(f"{address('mail', 1)}?tab=attempts").text


def test_a_mapped_task_lists_its_copies_and_leads_to_the_failed_one(web: Any, sample: Sample) -> None:
    client = web("viewer")
    page = client.get(address("load.prices")).text
    assert "3 copies" in page
    assert f'href="{address("load.prices/1")}"' in page
    only = client.get(f"{address('load.prices')}?state=failed").text
    assert re.findall(r"load\.prices\[(\d)\]</a>", only) == ["1"]
    copy = client.get(address("load.prices/0")).text
    assert "copy 0 of 3" in copy
    assert f'href="{address("load.prices/1")}" title="load.prices[1]"' in copy
    assert 'aria-disabled="true" aria-label="Previous copy"' in copy


@pytest.mark.parametrize("tab", TABS)
def test_markup_in_texts_of_a_task_stays_text(web: Any, sample: Sample, tab: str) -> None:
    run, key = failed_key(sample)
    sample.log(run, key, f"[2026-03-03 02:00:59,001] {{etl.py:1}} ERROR - {MARKUP}\n{MARKUP}\n")
    sample.push(key, "return_value", MARKUP)
    for path in (address("load.prices/1"), address("stats.totals")):
        page = web("operator").get(f"{path}?tab={tab}").text
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page
        assert not re.search(r"\son\w+=|style=|javascript:", page.replace("onerror=alert(1)&gt;", ""))


@pytest.mark.parametrize(
    ("path", "offered"),
    [
        ("tasks/load.price", "tasks/load.prices"),
        ("tasks/load.prices/7", "tasks/load.prices"),
        ("tasks/load.prices/99999999999999999999", None),
        ("tasks/load.prices/x", None),
    ],
)
def test_unknown_tasks_offer_known_ones(web: Any, sample: Sample, path: str, offered: str | None) -> None:
    answer = web("viewer").get(f"/dags/etl/runs/{sample_run_id(0)}/{path}")
    assert answer.status_code == 404
    assert offered is None or f'href="/dags/etl/runs/{sample_run_id(0)}/{offered}"' in answer.text


def state_of(sample: Sample, task_id: str, index: int = -1) -> TaskState | None:
    run = queries.run_of_id(sample.database, "etl", sample_run_id(0))
    assert run is not None
    row = queries.instance(sample.database, key_of(run, task_id, index))
    assert row is not None
    return row.state


def test_an_operator_marks_a_task_and_the_log_names_the_user(web: Any, sample: Sample) -> None:
    client = web("operator")
    page = client.followed(f"{address('load.prices/1')}/mark", state="success")
    assert "load.prices[1] was marked success." in page
    assert state_of(sample, "load.prices", 1) is TaskState.SUCCESS
    page = client.followed(f"{address('load.wait')}/mark", state="failed")
    assert "set to failed by operator" in page
    assert state_of(sample, "load.wait") is TaskState.FAILED
    page = client.followed(f"{address('load.wait')}/mark", state="failed")
    assert "Nothing was changed" in page
    owners = {one.owner for one in queries.events(sample.database, dag_id="etl") if one.event == "marked success"}
    assert owners == {"operator"}


def test_all_copies_of_a_mapped_task_are_marked_together(web: Any, sample: Sample) -> None:
    page = web("operator").followed(f"{address('load.prices')}/mark", state="failed")
    assert "2 of 3 copies of load.prices were marked failed." in page


def test_marks_need_the_right_a_token_and_a_state(web: Any, sample: Sample) -> None:
    url = f"{address('load.prices/1')}/mark"
    assert web("viewer").submit(url, state="success").status_code == 403
    assert web("operator").post(url, data={"state": "success"}).status_code == 403
    assert web("operator").submit(url, state="running").status_code == 400
    assert web(None).get(address("load.prices/1")).status_code == 303
    assert state_of(sample, "load.prices", 1) is TaskState.FAILED


def test_an_error_without_a_traceback_is_shown_as_it_is(web: Any, sample: Sample) -> None:
    run, _ = failed_key(sample)
    sample.set(key_of(run, "load.prices", 2), TaskState.FAILED, error="killed by signal 9", tries=3)
    page = web("viewer").get(address("load.prices/2")).text
    assert "killed by signal 9" in page
    assert "Whole traceback" not in page
    assert ERROR.splitlines()[-1][:20] not in page


def retried(sample: Sample) -> Any:
    """Store two more tries of a failed task, and the log of all three, and return its key."""
    run, key = failed_key(sample)
    for number in (2, 3):
        sample.set(key, TaskState.FAILED, error=f"ValueError: in try {number}", tries=number, uuid=f"try-{number}")
    parts = log_text(5, tries=3).split("line 0\n")
    sample.log(run, key, parts[0] + "".join(f"line 0 of {n}\n{part}" for n, part in enumerate(parts[1:], 1)))
    return key


def test_a_log_shows_the_last_try_and_offers_the_others(web: Any, sample: Sample) -> None:
    retried(sample)
    client, url = web("viewer"), address("load.prices/1")
    last = client.get(url).text
    assert any(line.endswith("line 0 of 3") for line in log_lines(last))
    assert not any("of 1" in line or "of 2" in line for line in log_lines(last) if "line 0" in line)
    assert log_lines(last)[0] == "-" * 80
    assert "ValueError: in try 3" in last
    offered = re.findall(r'<a class="chip" href="([^"]+)"( aria-current="true")?', last)
    assert [(one.partition("try=")[2], bool(current)) for one, current in offered] == [
        ("1", False),
        ("2", False),
        ("3", True),
    ]
    second = client.get(f"{url}?tab=log&try=2").text
    lines = log_lines(second)
    assert next(line for line in lines if "line 0" in line).endswith("line 0 of 2")
    assert lines[-1] == "" or "line 4" in lines[-1]
    assert "ValueError: in try 2" in second
    assert "ValueError: in try 3" not in second
    assert "&amp;try=2&amp;at=" in second


def test_pieces_of_a_try_stay_within_it(web: Any, sample: Sample) -> None:
    retried(sample)
    client, url = web("viewer"), address("load.prices/1")
    page = client.get(f"{url}?try=2").text
    found = re.search(r'data-first="(\d+)" data-stop="(\d+)"', page)
    assert found
    limits = f"first={found[1]}&stop={found[2]}"
    for query in (f"before={found[2]}", f"from={found[1]}", "", "from=0", "before=9999999"):
        texts = [line[3] for line in client.get(f"{url}/log?{limits}&{query}").json()["lines"]]
        assert [one for one in texts if "line 0" in one] == [one for one in texts if "of 2" in one and "line 0" in one]
        assert any("of 2" in one for one in texts)
    assert client.get(f"{url}/log?{limits}&before=0").json()["lines"] == []


@pytest.mark.parametrize("number", ["0", "4", "-1", "x", "1e3", "٣", "99999999999", "10000000"])
def test_an_odd_try_shows_the_last_one(web: Any, sample: Sample, number: str) -> None:
    retried(sample)
    page = web("viewer").get(f"{address('load.prices/1')}?try={number}").text
    assert "is ignored" in page or "the last one is shown" in page
    assert any(line.endswith("line 0 of 3") for line in log_lines(page))


def test_a_link_to_a_line_shows_its_try(web: Any, sample: Sample) -> None:
    retried(sample)
    page = web("viewer").get(f"{address('load.prices/1')}?tab=log&at=0").text
    assert any(line.endswith("line 0 of 1") for line in log_lines(page))
    assert not any(line.endswith("line 0 of 3") for line in log_lines(page))


def test_a_log_without_a_try_says_so(web: Any, sample: Sample) -> None:
    key = retried(sample)
    run, _ = failed_key(sample)
    sample.log(run, key, log_text(5, tries=1))
    page = web("viewer").get(f"{address('load.prices/1')}?try=1").text
    assert "The log has no lines of try 1; all of it is shown." in page
    assert "invalid literal for int()" in page


def test_attempts_lead_to_their_logs(web: Any, sample: Sample) -> None:
    retried(sample)
    page = web("viewer").get(f"{address('load.prices/1')}?tab=attempts").text
    assert re.findall(r"tab=log&amp;try=(\d+)", page) == ["3", "2", "1"]
