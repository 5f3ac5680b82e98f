"""Browsers in other time zones, and browsers without JavaScript."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elastic.web.context import WebContext
from tests.web.dag_page_samples import sample_run_id
from tests.web.web_client import PASSWORD
from tests.web.whole_service import DAG_PAGES, FLOW_PAGES, RUN_PAGE, SERVICE_PAGES, TASK_PAGE, fill

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ZONES = ("Europe/Berlin", "Asia/Kolkata", "America/New_York")

#: Pages with times.
_TIMED = (
    "/",
    "/dags/etl?view=runs",
    f"{RUN_PAGE}?view=conf",
    f"{TASK_PAGE}?tab=attempts",
    "/flows",
    "/browse/runs",
)

#: Returns the instants of a page, and the texts that are not the local time of their instant.
_TIMES = """() => {
    const two = number => String(number).padStart(2, "0");
    const instants = [], wrong = [];
    for (const one of document.querySelectorAll("main time")) {
        const at = new Date(one.dateTime);
        const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
        const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
        const full = `${day} ${clock}:${two(at.getSeconds())}`;
        const shown = one.textContent.trim();
        instants.push(one.dateTime);
        if (one.dataset.form === "full" && shown !== full) wrong.push(`${shown} is not ${full}`);
        if (one.dataset.form === "short" && !shown.endsWith(clock)) wrong.push(`${shown} is not at ${clock}`);
        if (!one.title.startsWith(full)) wrong.push(`${one.title} is not ${full}`);
    }
    return [instants, wrong];
}"""


@pytest.fixture
def opened(_browser: Any, live_url: str, web_context: WebContext, home: Path) -> Iterator[Callable[..., Any]]:
    """Return a logged-in page of a new browsing context with some options, for a service with a failed run."""
    fill(web_context, home)
    contexts = []

    def new_page(**options: Any) -> Any:
        contexts.append(_browser.new_context(base_url=live_url, viewport={"width": 1400, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.goto("/login")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", PASSWORD)
        page.click("button:has-text('Log in')")
        page.wait_for_url("**/")
        return page

    yield new_page
    for one in contexts:
        one.close()


def test_every_time_is_the_same_instant_in_the_zone_of_each_browser(opened: Callable[..., Any]) -> None:
    found: dict[str, list[str]] = {}
    for zone in ZONES:
        page = opened(timezone_id=zone)
        for address in _TIMED:
            page.goto(address)
            instants, wrong = page.evaluate(_TIMES)
            assert wrong == [], (zone, address)
            assert instants, address
            assert found.setdefault(address, instants) == instants, (zone, address)
            # Browsers know some zones by an older name, such as Asia/Calcutta.
            name = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
            assert name in page.inner_text(".status .zone")


def test_the_grid_names_runs_in_the_zone_of_the_browser(opened: Callable[..., Any]) -> None:
    page = opened(timezone_id="Asia/Kolkata")
    page.goto("/dags/etl")
    page.wait_for_selector("#grid[data-ready]")
    page.focus("#grid")
    # The logical date is 01:00 UTC.
    assert page.text_content("#grid-cell") == "run, 2026-03-03 06:30:00: failed"


def test_back_and_reload_keep_filters(opened: Callable[..., Any]) -> None:
    page = opened()
    page.goto(RUN_PAGE)
    page.click(".filters a.chip:has-text('failed') >> nth=0")
    page.wait_for_url("**state=failed*")
    kept = page.locator("#run-tasks tbody tr").count()
    page.click("#run-tasks a.name >> nth=0")
    page.wait_for_url("**/tasks/**")
    page.go_back()
    page.reload()
    assert "state=failed" in page.url
    assert page.locator("#run-tasks tbody tr").count() == kept == 1


def test_every_page_can_be_read_without_javascript(opened: Callable[..., Any]) -> None:
    page = opened(java_script_enabled=False)
    for address in (*DAG_PAGES, *FLOW_PAGES, *SERVICE_PAGES):
        page.goto(address)
        assert page.locator("main h1").first.is_visible(), address
        for hidden in ("#grid", "#chunks", "#log-level", "#live-status"):
            assert page.locator(f"{hidden}:visible").count() == 0, (address, hidden)
    page.goto("/dags/etl")
    assert page.locator(".grid-table a.cell.s-failed").first.is_visible()
    page.goto(f"{TASK_PAGE}?tab=log")
    assert "ERROR - failed" in page.inner_text("#log")


def test_forms_work_without_javascript(opened: Callable[..., Any]) -> None:
    page = opened(java_script_enabled=False)
    page.click("#dag-list button.switch")
    assert page.get_attribute("#dag-list button.switch", "aria-checked") == "false"
    page.goto("/dags/etl/trigger")
    page.fill("textarea[name=conf]", '{"day": 1}')
    page.click("main form.trigger button")
    page.wait_for_url("**/dags/etl/runs/*")
    page.goto(f"/dags/etl/clear?run={sample_run_id(1)}&task=load.prices")
    page.click("main form[method=post] button >> nth=-1")
    assert page.locator("main [role=status]").first.is_visible()
    page.goto("/admin/pools/new")
    page.fill("input[name=name]", "light")
    page.fill("input[name=slots]", "3")
    page.click("main form[method=post] button >> nth=-1")
    assert "light" in page.inner_text("main table")
    page.goto("/browse/instances")
    page.select_option("main select[name=state]", "failed")
    page.click("main form[method=get] button")
    assert "state=failed" in page.url
    page.goto("/account")
    page.select_option("select[name=zone]", "Asia/Tokyo")
    page.click("form[action='/account/zone'] button")
    assert "Asia/Tokyo" in page.inner_text(".status .zone")
