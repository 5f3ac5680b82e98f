"""Fixtures of the tests of the web server: clients that are logged in, and pages in a browser."""

import datetime as dt
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from elastic.config.settings import read_settings
from elastic.db.database import Database
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.users import Role, UserStore
from elastic.scheduler.deployment import Deployment
from elastic.web.app import create_app
from elastic.web.context import WebContext
from elastic.web.security.tokens import new_token
from tests.run_views.stored_run_samples import Sample, letter_of, make_run
from tests.web.web_client import HASH, PASSWORD, Api, WebClient


@pytest.fixture
def web_context(home: Path) -> WebContext:
    """Context of a server with an empty SQLite database and a user for each role, named as the role."""
    settings = read_settings()
    deployment = Deployment.of(settings)
    store = UserStore(deployment.database)
    for role in Role:
        store.create(str(role), role, HASH)
    return WebContext(database=deployment.database, settings=settings, deployment=deployment, runs_folder=home / "runs")


@pytest.fixture
def web_database(web_context: WebContext) -> Database:
    """The database of the server."""
    return web_context.database


@pytest.fixture
def web_app(web_context: WebContext) -> FastAPI:
    """The app."""
    return create_app(web_context)


@pytest.fixture
def web(web_app: FastAPI) -> Callable[[str | None], WebClient]:
    """Return a client that is logged in: `web("operator")`; `web(None)` is not logged in."""
    return lambda role="viewer": WebClient(web_app, None if role is None else Role(role))


@pytest.fixture
def api(web_app: FastAPI, web_database: Database) -> Api:
    """Return a client with a token: `api("operator")`."""

    def client(user: str, role: Role = Role.ADMIN, days: float = 1) -> TestClient:
        secret, time = new_token(), dt.datetime.now(dt.UTC)
        ends = time + dt.timedelta(days=days)
        ApiTokenStore(web_database).add(secret, user, name="test", role=role, time=time, expires_at=ends)
        headers = {"Authorization": f"Bearer {secret}"}
        return TestClient(web_app, base_url="http://127.0.0.1:8080", headers=headers, follow_redirects=False)

    return client


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a browser."""
    path = shutil.which("chromium")
    if path is None:
        # If databases are required, so is the browser: a skipped test would hide that it is missing.
        fail = pytest.fail if os.environ.get("TEST_DATABASES") == "required" else pytest.skip
        fail("chromium is not installed; on Debian, `apt-get install chromium` installs it.")
    return path


@pytest.fixture
def live_url(web_app: FastAPI) -> Iterator[str]:
    """Address of a server that answers a browser."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(web_app, lifespan="off", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    pause = threading.Event()
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        pause.wait(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    web_app.state.is_stopping = True
    server.should_exit = True
    server.force_exit = True
    thread.join(30)
    listener.close()


@pytest.fixture(scope="session")
def _browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser_page(_browser: Any, live_url: str) -> Iterator[Any]:
    """A browser page whose user is logged in as admin; addresses without host are those of the server.

    The test fails if the page logged an error or asked another host for anything.
    """
    faults: list[str] = []
    browsing = _browser.new_context(base_url=live_url, viewport={"width": 1400, "height": 900})
    page = browsing.new_page()
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith((live_url, "data:")) else faults.append(request.url)
    )
    page.goto("/login")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", PASSWORD)
    page.click("button:has-text('Log in')")
    yield page
    browsing.close()
    assert faults == []


@pytest.fixture
def flow_run(home: Path) -> Path:
    """Folder of a run of a flow with bad entries in chunks 1 and 5."""
    letters = (letter_of(1, 0), letter_of(1, 2, entry=b"\xff\x00"), letter_of(5, None, entry=[1, 2, 3]))
    return make_run(home, Sample(chunks=10, failed={1: 2, 5: 3}, letters=letters))
