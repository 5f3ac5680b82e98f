"""How many clicks a user needs, counted in a browser, and the same ways with the keyboard alone."""

from pathlib import Path
from typing import Any

import pytest

from elastic.web.context import WebContext
from tests.run_views.stored_run_samples import RUN
from tests.web.whole_service import STEP_PAGE, TASK_PAGE, fill

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_ERROR = "ValueError: invalid literal for int() with base 10: '30 EUR'"

#: Counts clicks in all pages of the context, however they are made.
_COUNTER = """addEventListener("click", event => {
    if (event.isTrusted) sessionStorage.clicks = 1 + Number(sessionStorage.clicks || 0);
}, true);"""


@pytest.fixture
def page(web_context: WebContext, home: Path, browser_page: Any) -> Any:
    """A page at the home of a service with a failed run, whose clicks are counted."""
    fill(web_context, home)
    browser_page.add_init_script(_COUNTER)
    browser_page.goto("/")
    return browser_page


def clicks(page: Any) -> int:
    return int(page.evaluate("Number(sessionStorage.clicks || 0)"))


def press_until(page: Any, key: str, selector: str) -> None:
    """Press a key until an element has the focus, and fail if a user would have to press it more than 60 times."""
    target = page.locator(selector).first
    for _ in range(60):
        page.keyboard.press(key)
        if target.evaluate("one => one === document.activeElement"):
            return
    pytest.fail(f"{key} does not reach {selector} on {page.url}")


def test_two_clicks_lead_from_home_to_the_traceback_of_a_failed_task(page: Any) -> None:
    page.click("svg.bars a.s-failed")
    page.click("#run-tasks a.name:has-text('load.prices[1]')")
    page.wait_for_url(f"**{TASK_PAGE}*")
    assert _ERROR in page.inner_text(".failure-line")
    assert clicks(page) == 2


def test_four_clicks_lead_from_home_to_the_traceback_of_a_bad_entry(page: Any) -> None:
    page.click("svg.bars a.s-failed")
    page.click("#run-tasks a.name:has-text('load.prices[1]')")
    page.click("#task-head a:has-text('Flow:')")
    page.wait_for_url(f"**{STEP_PAGE}")
    assert _ERROR in page.inner_text(".traceback >> nth=0")
    page.click("details.group[open] a:has-text('Open')")
    page.wait_for_url(f"**{STEP_PAGE}/letters/1-0")
    assert _ERROR in page.inner_text(".traceback")
    assert clicks(page) <= 5


def test_at_most_five_clicks_lead_from_the_list_of_flows_to_a_bad_entry_by_its_chunk(page: Any) -> None:
    page.click(".nav a:has-text('Flows')")
    page.click(f".flow-runs a.name[href*='{RUN}']")
    page.locator("#chunks[data-drawn='10']").wait_for(state="attached")
    # The second cell of the first row; each has 16 px.
    page.click("#chunks", position={"x": 24, "y": 8})
    page.wait_for_url(f"**{STEP_PAGE}/chunks/1")
    assert _ERROR in page.inner_text(".traceback >> nth=0")
    page.click("a:has-text('Open') >> nth=0")
    page.wait_for_url(f"**{STEP_PAGE}/letters/1-0")
    assert _ERROR in page.inner_text(".traceback")
    assert page.inner_text("#entry") == "30 EUR"
    assert clicks(page) <= 5


def test_tab_and_enter_lead_from_home_to_the_traceback_of_a_failed_task(page: Any) -> None:
    press_until(page, "Tab", "svg.bars a.s-failed")
    page.keyboard.press("Enter")
    page.wait_for_selector("#run-tasks")
    press_until(page, "Tab", "#run-tasks a.name:has-text('load.prices[1]')")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{TASK_PAGE}*")
    press_until(page, "Tab", ".failure-box summary")
    page.keyboard.press("Enter")
    assert "in to_cents" in page.inner_text(".failure-box pre")


def test_keys_lead_from_home_to_the_traceback_of_a_bad_entry(page: Any) -> None:
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.wait_for_url("**/flows")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{STEP_PAGE}")
    page.locator("#chunks[data-drawn='10']").wait_for(state="attached")
    press_until(page, "Tab", "#chunks")
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{STEP_PAGE}/chunks/1")
    press_until(page, "Tab", "a.btn:has-text('Open'), a.link:has-text('Open')")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{STEP_PAGE}/letters/1-0")
    assert _ERROR in page.inner_text(".traceback")


def test_the_first_tab_skips_to_the_content_and_the_focus_is_visible(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
