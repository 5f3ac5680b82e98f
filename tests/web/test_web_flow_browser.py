"""Pages of flow runs in a browser: from a red chunk to the traceback, keys, zoom, live updates, and without scripts."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elastic.core.contracts.store import Commit
from elastic.core.model.failure import DeadLetter
from elastic.core.model.live_view import LiveSpan
from elastic.persistence.run_store.live_file import write_live
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from tests.run_views.stored_run_samples import KEY, RUN, Sample, letter_of, live_of, make_run

pytestmark = pytest.mark.browser

STEP = f"/flows/{RUN}/0"


class Clicks:
    """Counter of the clicks that a user needs."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.count = 0

    def on_cell(self, index: int) -> None:
        """Click on a cell of the grid."""
        self.count += 1
        place = self.page.evaluate(
            """index => {
                const canvas = document.getElementById("chunks"), box = canvas.getBoundingClientRect();
                for (let size = 16; size >= 2; size -= 1) {
                    const columns = Math.max(1, Math.floor(canvas.clientWidth / size));
                    const count = Number(canvas.dataset.drawn);
                    if (size > 2 && Math.ceil(count / columns) * size > 500) continue;
                    return {
                        x: box.left + (index % columns) * size + size / 2,
                        y: box.top + Math.floor(index / columns) * size + size / 2,
                    };
                }
            }""",
            index,
        )
        self.page.mouse.click(place["x"], place["y"])

    def on(self, selector: str) -> None:
        """Click on an element."""
        self.count += 1
        self.page.click(selector)


def drawn(page: Any, count: int) -> None:
    """Wait until the grid shows a number of cells."""
    page.locator(f"#chunks[data-drawn='{count}']").wait_for(state="attached")


def test_two_clicks_lead_from_a_red_chunk_to_the_traceback(browser_page: Any, home: Path) -> None:
    make_run(home, Sample(chunks=2_000, batch=100, failed={997: 1}, letters=[letter_of(997, 0)]))
    browser_page.goto(STEP)
    drawn(browser_page, 2_000)
    clicks = Clicks(browser_page)
    clicks.on_cell(997)
    browser_page.wait_for_url(f"**{STEP}/chunks/997")
    # The first bad entry of a chunk shows its traceback already; its page has all of it.
    assert "in to_cents" in browser_page.inner_text(".traceback")
    clicks.on("text=Open")
    browser_page.wait_for_url(f"**{STEP}/letters/997-0")
    assert "ValueError: invalid literal for int()" in browser_page.inner_text(".traceback")
    assert browser_page.inner_text("#entry") == "30 EUR"
    assert clicks.count == 2
    browser_page.go_back()
    browser_page.go_back()
    drawn(browser_page, 2_000)


def test_keys_move_over_the_grid_to_the_next_bad_chunk_and_open_it(browser_page: Any, home: Path) -> None:
    make_run(home, Sample(chunks=300, batch=100, failed={7: 1, 250: 1}, letters=[letter_of(7)]))
    browser_page.goto(STEP)
    drawn(browser_page, 300)
    browser_page.focus("#chunks")
    said = []
    for key in ("e", "e", "ArrowRight", "Shift+E", "Enter"):
        browser_page.keyboard.press(key)
        if key != "Enter":
            said.append(browser_page.inner_text("#cell-text"))
    assert said == ["chunk 7: bad entries", "chunk 250: bad entries", "chunk 251: aggregated", "chunk 250: bad entries"]
    browser_page.wait_for_url(f"**{STEP}/chunks/250")


def test_a_hundred_thousand_chunks_have_a_cell_each_and_small_bad_ones_are_hit(browser_page: Any, home: Path) -> None:
    make_run(home, Sample(chunks=100_000, batch=1_000, failed={50_000: 1}, letters=[letter_of(50_000)]))
    browser_page.goto(STEP)
    drawn(browser_page, 100_000)
    assert float(browser_page.get_attribute("#chunks", "data-milliseconds")) < 2_000
    Clicks(browser_page).on_cell(50_001)
    browser_page.wait_for_url(f"**{STEP}/chunks/50000")


def test_zoom_is_part_of_the_address(browser_page: Any, home: Path) -> None:
    make_run(home, Sample(chunks=4_000, batch=1_000))
    browser_page.goto(STEP)
    drawn(browser_page, 4_000)
    browser_page.click("#zoom-in")
    drawn(browser_page, 2_000)
    assert browser_page.url.endswith("?from=1000&to=3000")
    browser_page.reload()
    drawn(browser_page, 2_000)
    browser_page.click("#zoom-out")
    drawn(browser_page, 4_000)
    assert browser_page.url.endswith(STEP)


@pytest.mark.parametrize("by", ["worker", "attempt", "time", "size"])
def test_every_colouring_has_a_legend(browser_page: Any, home: Path, by: str) -> None:
    make_run(home, Sample(chunks=100, batch=10))
    browser_page.goto(f"{STEP}?by={by}")
    drawn(browser_page, 100)
    assert browser_page.inner_text("#legend").strip()


def test_a_running_step_is_updated_without_loading_the_page_again(browser_page: Any, home: Path) -> None:
    folder = make_run(home, Sample(chunks=40, state="in_progress"))
    publish(folder, 60)
    browser_page.goto(STEP)
    drawn(browser_page, 100)
    publish(folder, 80)
    browser_page.locator("[data-figure=aggregated]", has_text="80").wait_for()
    assert browser_page.inner_text("[data-figure=state]") == "running, 80 %"


def test_a_page_waits_for_the_first_sign_of_the_master_and_offers_new_bad_entries(
    browser_page: Any, home: Path
) -> None:
    folder = make_run(home, Sample(chunks=40, state="in_progress", failed={3: 1}, letters=[letter_of(3)]))
    browser_page.goto(STEP)
    drawn(browser_page, 40)
    assert browser_page.is_visible("#no-sign")
    assert browser_page.is_hidden("#more-bad")
    commit(folder, letter_of(7))
    publish(folder, 60)
    browser_page.locator("#no-sign").wait_for(state="hidden")
    browser_page.click("#more-bad")
    drawn(browser_page, 100)
    assert "2" in browser_page.inner_text("#bad-title + .chip")


def commit(folder: Path, letter: DeadLetter) -> None:
    """Commit another dead letter of a running step."""
    store = SqliteRunStore.open(folder)
    try:
        (record,) = store.steps()
        progress = {"position": record.position, "exhausted": False, "counters": record.counters}
        store.commit(0, Commit(low=record.low, bitmap=b"", dead_letters=(letter,), **progress))
    finally:
        store.close()


def publish(folder: Path, aggregated: int) -> None:
    """Publish a live view of a step of 100 chunks."""
    view = live_of(LiveSpan(0, aggregated, "aggregated", None, 1), cut=90, expected=100)
    counters = {"aggregated": aggregated}
    write_live(folder, KEY, 0, replace(view, noted_at=time.time() + 60, counters=counters, chunks_per_second=5.0))


def test_no_page_is_wider_than_its_window(browser_page: Any, home: Path) -> None:
    letters = [letter_of(1, entry="x" * 500), letter_of(5, None, error_type="E" * 200, message="m" * 500)]
    make_run(home, Sample(chunks=100, failed={1: 1, 5: 3}, letters=letters, state="error", error="e" * 300))
    for address in ("/flows", STEP, f"{STEP}/chunks/1", f"{STEP}/letters", f"{STEP}/letters/1-0", f"{STEP}/proof"):
        browser_page.goto(address)
        for width in (1400, 900, 360):
            browser_page.set_viewport_size({"width": width, "height": 800})
            assert browser_page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)


def test_the_panel_of_an_action_stays_in_a_narrow_window(browser_page: Any, home: Path) -> None:
    manifest = {"target": "prices.py:flow", "folder": "/home/ada/flows"}
    make_run(home, Sample(failed={1: 1}, letters=[letter_of(1)], manifest=manifest))
    browser_page.goto(STEP)
    for width in (1400, 900, 360):
        browser_page.set_viewport_size({"width": width, "height": 800})
        browser_page.click(".ask summary")
        box = browser_page.locator(".ask .panel").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        browser_page.click(".ask summary")


def test_a_button_copies_a_receipt(browser_page: Any, home: Path) -> None:
    make_run(home)
    browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    browser_page.goto(f"{STEP}/chunks/1")
    browser_page.click("[data-copy=receipt-1]")
    token = browser_page.inner_text("#receipt-1")
    assert browser_page.evaluate("navigator.clipboard.readText()") == token


def test_without_scripts_the_table_leads_to_the_chunk(
    _browser: Any, live_url: str, home: Path, chromium: str, logged_in: Callable[[Any], Any]
) -> None:
    make_run(home, Sample(chunks=100, failed={42: 1}, letters=[letter_of(42)]))
    page = logged_in(_browser.new_context(base_url=live_url, java_script_enabled=False))
    page.goto(STEP)
    assert page.is_hidden("#chunks")
    page.click("#chunk-table a")
    assert page.url.endswith(f"{STEP}/chunks/42")
    assert "in to_cents" in page.inner_text(".traceback")
    page.goto(STEP)
    page.fill("#goto", "43")
    page.click("form.goto button")
    assert page.url.endswith(f"{STEP}/chunks/43")
    page.context.close()


@pytest.fixture
def logged_in() -> Callable[[Any], Any]:
    """Return a page of a browsing context whose user has logged in."""
    from tests.web.web_client import PASSWORD

    def log_in(browsing: Any) -> Any:
        page = browsing.new_page()
        page.goto("/login")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", PASSWORD)
        page.click("button:has-text('Log in')")
        return page

    return log_in
