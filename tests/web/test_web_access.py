"""Every page in a browser, checked by axe-core: names, roles, contrast and sizes that all users need."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from fastapi import FastAPI

from elastic.web.context import WebContext
from tests.web.web_client import PASSWORD
from tests.web.whole_service import PAGES, fill, pages_of

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_QUICK = {"resultTypes": ["violations"], "preload": False, "iframes": False}
#: Everything in the colours of the day; at night, only colours differ.
_LIGHT = {
    "runOnly": {"type": "tag", "values": _TAGS},
    "rules": {"target-size": {"enabled": True}},
    **_QUICK,
}
_DARK = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, **_QUICK}

#: Runs axe with everything open that a click opens, and returns a line for each fault.
_RUN = """async options => {
    document.querySelectorAll("details").forEach(one => { one.open = true; });
    const found = await axe.run(document, options);
    return found.violations
        .filter(one => one.impact === "serious" || one.impact === "critical")
        .flatMap(one => one.nodes.map(node => `${one.id}: ${node.target.join(" ")} ${node.html.slice(0, 160)} `
            + node.any.concat(node.all).map(check => check.message).join(" ")));
}"""


@pytest.fixture
def page(_browser: Any, live_url: str) -> Iterator[Any]:
    """A page that runs axe, which the content security policy of the server would refuse."""
    browsing = _browser.new_context(
        base_url=live_url, viewport={"width": 1400, "height": 900}, bypass_csp=True, reduced_motion="reduce"
    )
    browsing.add_init_script(AXE_SCRIPT)
    yield browsing.new_page()
    browsing.close()


def faults_of(page: Any, address: str, seen: set[str]) -> list[str]:
    """Check a page by day, and by night if it has classes, hence colours, that no page before it had."""
    page.goto(address)
    page.emulate_media(color_scheme="light")
    found = [f"{address} {fault}" for fault in page.evaluate(_RUN, _LIGHT)]
    classes = set(page.evaluate("[...document.querySelectorAll('[class]')].flatMap(one => [...one.classList])"))
    if not classes <= seen:
        seen |= classes
        page.emulate_media(color_scheme="dark")
        found += [f"{address} dark {fault}" for fault in page.evaluate(_RUN, _DARK)]
    return found


def test_axe_finds_nothing_serious_on_any_page(
    page: Any, web_context: WebContext, web_app: FastAPI, home: Path
) -> None:
    fill(web_context, home)
    seen: set[str] = set()
    faults = faults_of(page, "/login", seen)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", PASSWORD)
    page.click("button:has-text('Log in')")
    page.wait_for_url("**/")
    for address in pages_of(web_app):
        # Routes that no page names may answer with data or with a part of a page.
        if address in PAGES or "<main" in page.request.get(address).body().decode(errors="replace"):
            faults += faults_of(page, address, seen)
    assert faults == []
