"""Pages of DAGs in a browser: the keys of the grid, its panel, the log, and the two clicks to a traceback."""

import re
from typing import Any

import pytest

from elastic.dag.states.state import RunState, TaskState
from elastic.db import queries
from elastic.web.context import WebContext
from tests.web.dag_page_samples import Sample, key_of, log_text, sample_run_id

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def sample(web_context: WebContext) -> Sample:
    """A DAG with runs, the last of which failed, and the log of its failed task."""
    found = Sample(web_context.deployment)
    found.run(0)
    run = found.run(1, RunState.FAILED, load__prices=TaskState.FAILED, stats__totals=TaskState.UPSTREAM_FAILED)
    found.log(run, key_of(run, "load.prices", 1), log_text(2000, error=True))
    return found


@pytest.fixture
def grid(sample: Sample, browser_page: Any) -> Any:
    """The page of the DAG with its grid drawn."""
    browser_page.goto("/dags/etl")
    browser_page.wait_for_selector("#grid[data-ready]")
    return browser_page


def cell(page: Any) -> str:
    return str(page.text_content("#grid-cell"))


def test_arrow_keys_move_and_name_each_square(grid: Any) -> None:
    grid.focus("#grid")
    assert cell(grid) == "run, 2026-03-03 01:00:00: failed"
    grid.keyboard.press("ArrowDown")
    assert cell(grid) == "group load, 2026-03-03 01:00:00: failed"
    grid.keyboard.press("ArrowDown")
    grid.keyboard.press("ArrowDown")
    assert cell(grid) == "load.prices, 2026-03-03 01:00:00: failed"
    grid.keyboard.press("ArrowLeft")
    assert cell(grid) == "load.prices, 2026-03-02 01:00:00: success"
    for key in ("ArrowLeft", "Home", "PageUp", "PageUp", "ArrowUp"):
        grid.keyboard.press(key)
    assert cell(grid) == "run, 2026-03-02 01:00:00: success"
    grid.keyboard.press("End")
    grid.keyboard.press("PageDown")
    assert cell(grid) == "mail, 2026-03-03 01:00:00: success"
    assert grid.get_attribute("#grid-cell", "aria-colindex") == "2"
    assert grid.is_visible(".grid-tip")


def test_space_shows_facts_and_keeps_them_in_the_address(grid: Any) -> None:
    grid.focus("#grid")
    for _ in range(3):
        grid.keyboard.press("ArrowDown")
    grid.keyboard.press("Space")
    grid.wait_for_selector("#panel >> text=load.prices[1]: ValueError")
    assert f"run={sample_run_id(1)}" in grid.url
    assert "task=load.prices" in grid.url
    grid.reload()
    grid.wait_for_selector("#grid[data-ready]")
    assert "load.prices[1]: ValueError" in grid.text_content("#panel")


def test_the_place_in_a_full_grid_stays_on_its_run_when_a_new_run_comes(sample: Sample, browser_page: Any) -> None:
    page = browser_page
    page.goto("/dags/etl?runs=2")
    page.wait_for_selector("#grid[data-ready]")
    page.focus("#grid")
    page.keyboard.press("Space")
    page.wait_for_selector("#panel >> text=load.prices")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert cell(page) == "load.prices, 2026-03-03 01:00:00: failed"
    sample.run(2)
    page.evaluate("document.dispatchEvent(new CustomEvent('elastic:refresh'))")
    page.wait_for_selector("#grid-cell[aria-colindex='1']", state="attached")
    assert cell(page) == "load.prices, 2026-03-03 01:00:00: failed"
    page.keyboard.press("ArrowRight")
    assert cell(page).startswith("load.prices, 2026-03-04 01:00:00")


def test_keys_fold_groups_and_open_pages(grid: Any) -> None:
    grid.focus("#grid")
    grid.keyboard.press("ArrowDown")
    grid.keyboard.press("Space")
    assert cell(grid) == "group load, closed, 2026-03-03 01:00:00: failed"
    grid.keyboard.press("ArrowDown")
    assert cell(grid) == "group stats, 2026-03-03 01:00:00: upstream failed"
    assert "closed=load" in grid.url
    grid.keyboard.press("ArrowDown")
    grid.keyboard.press("c")
    grid.wait_for_url(re.compile(rf"/dags/etl/clear\?run={sample_run_id(1)}&task=stats\.totals"))
    grid.go_back()
    grid.wait_for_selector("#grid[data-ready]")
    assert "closed=load" in grid.url
    grid.focus("#grid")
    grid.keyboard.press("End")
    grid.keyboard.press("Enter")
    grid.wait_for_url(f"**/dags/etl/runs/{sample_run_id(1)}")


def test_a_click_shows_facts_and_a_search_finds_rows(grid: Any) -> None:
    box = grid.locator(".grid-scroll").bounding_box()
    width = grid.evaluate("document.querySelector('.grid-sizer').offsetWidth")
    # The middle of the last square of the first row.
    grid.mouse.click(box["x"] + width - 16, box["y"] + 78)
    grid.wait_for_selector("#panel >> text=load.prices[1]")
    grid.fill("#grid-search", "total")
    grid.focus("#grid")
    grid.keyboard.press("PageDown")
    assert cell(grid).startswith("stats.totals,")
    grid.fill("#grid-search", "")
    grid.check("#grid-failed")
    assert "failed=1" in grid.url


def test_a_failed_task_is_two_clicks_from_its_traceback(sample: Sample, browser_page: Any) -> None:
    browser_page.goto("/")
    browser_page.click("svg.bars a.s-failed")
    browser_page.click("text=load.prices[1]")
    browser_page.wait_for_selector("#log[data-ready]")
    assert "ValueError: invalid literal for int()" in browser_page.text_content(".failure-line")
    marked = browser_page.locator("#log .marked")
    assert "ERROR - failed" in marked.text_content()
    box, line = browser_page.locator("#log").bounding_box(), marked.bounding_box()
    assert box["y"] <= line["y"] <= box["y"] + box["height"]


def test_a_log_is_followed_filtered_and_searched(sample: Sample, browser_page: Any) -> None:
    run = queries.run_of_id(sample.database, "etl", sample_run_id(1))
    assert run is not None
    key = key_of(run, "load.wait")
    sample.set(key, TaskState.RUNNING, tries=2)
    path = sample.log(run, key, log_text(5000))
    page = browser_page
    page.goto(f"/dags/etl/runs/{run.run_id}/tasks/load.wait?tab=log")
    page.wait_for_selector("#log[data-ready]")
    assert page.is_checked("#log-follow")
    with path.open("a") as file:
        file.write("[2026-03-03 02:00:59,001] {etl.py:1} WARNING - <b>a new line</b>\n")
    page.wait_for_selector("#log >> text=<b>a new line</b>")
    assert page.locator("#log >> text=INFO - line 3500").count() == 0
    assert page.is_checked("#log-follow")
    page.focus("#log")
    page.keyboard.press("PageUp")
    page.wait_for_selector("#log-follow:not(:checked)")
    page.evaluate("document.getElementById('log').scrollTop = 0")
    page.wait_for_selector("#log >> text=INFO - line 3500", state="attached")
    page.select_option("#log-level", "warning")
    assert page.locator("#log .line:visible").count() == 1
    assert "level=warning" in page.url
    page.select_option("#log-level", "")
    # Not a line of the end, which leaves the page when more of the beginning arrives.
    page.fill("#log-find", "line 3500")
    assert page.text_content("#log-hits") == "1 of 1"


def test_the_graph_lights_what_is_around_a_task(sample: Sample, browser_page: Any) -> None:
    browser_page.goto("/dags/etl?view=graph")
    browser_page.wait_for_selector("#graph[data-ready]")
    browser_page.hover("a.node[data-task='stats.totals']")
    assert browser_page.locator("a.node.lit").count() == 4
    assert browser_page.locator(".edges path.lit").count() == 3
    browser_page.click("[data-zoom=in]")
    browser_page.focus("#graph")
    browser_page.keyboard.press("f")


@pytest.mark.parametrize("width", [360, 900, 1400])
def test_pages_fit_their_window(sample: Sample, browser_page: Any, width: int) -> None:
    browser_page.set_viewport_size({"width": width, "height": 800})
    run = f"/dags/etl/runs/{sample_run_id(1)}"
    for path in ("/dags/etl", "/dags/etl?view=runs", "/dags/etl?view=graph", run, f"{run}/tasks/load.prices/1"):
        browser_page.goto(path)
        wide = browser_page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} is {wide} px too wide"
