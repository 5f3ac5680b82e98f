"""What the web server answers while the database is away: soon, and nothing that strangers must not know."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from starlette.requests import Request

from elastic.config.settings import read_settings
from elastic.core.errors import ElasticError, StoreError
from elastic.db.database import Database
from elastic.db.errors import DatabaseUnavailableError
from elastic.db.open_database import hasty_database
from elastic.web.context import WebContext
from elastic.web.security.identity import Authenticator, Identity
from tests.web.web_client import WebClient

Web = Callable[[str | None], WebClient]

FAULTS = [
    DatabaseUnavailableError("postgresql://db.internal/elastic", "no route to host"),
    StoreError("the database /srv/db.internal/elastic.db cannot be opened (No space left); free some."),
]


class AwayAuthenticator(Authenticator):
    """Authenticator whose database is away; it counts how often it was asked."""

    def __init__(self, error: ElasticError) -> None:
        self.error, self.calls = error, 0

    def identify(self, request: Request) -> Identity | None:
        self.calls += 1
        raise self.error


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize(("path", "status"), [("/", 503), ("/dags/etl", 503), ("/no/such/page", 404)])
def test_a_request_asks_a_database_that_is_away_once(
    web: Web, web_app: FastAPI, error: ElasticError, path: str, status: int
) -> None:
    web_app.state.authenticator = away = AwayAuthenticator(error)
    answer = web(None).get(path)
    assert (answer.status_code, away.calls) == (status, 1)
    assert "db.internal" not in answer.text


def test_a_user_learns_what_is_wrong_with_the_database_and_strangers_do_not(
    web: Web, web_database: Database, home: object
) -> None:
    client = web("viewer")
    with web_database.begin() as connection:
        connection.execute(text("DROP TABLE dag_cursor"))
        connection.execute(text("ALTER TABLE login_try RENAME TO lost"))
    shown = client.get("/")
    assert (shown.status_code, "no such table" in shown.text) == (503, True)
    refused = web(None).post("/login", data={"username": "viewer", "password": "wrong"})
    assert (refused.status_code, "The database is unavailable." in refused.text) == (503, True)
    for secret in ("no such table", "elastic.db", str(home)):
        assert secret not in refused.text


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_pages_do_not_wait_long_for_a_server_that_is_silent(
    home: object, monkeypatch: pytest.MonkeyPatch, scheme: str, silent_port: int
) -> None:
    monkeypatch.setenv("ELASTIC__DATABASE__URL", f"{scheme}://me:hunter2@127.0.0.1:{silent_port}/db")
    database, before = hasty_database(read_settings()), time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        database.query(lambda connection: connection.execute(text("SELECT 1")).scalar())
    assert time.monotonic() - before < 9


def test_pages_wait_for_the_writer_of_a_file_for_five_seconds_at_most(web_context: WebContext) -> None:
    with WebContext.of(web_context.settings).database.read() as connection:
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 5000


def test_pages_of_postgresql_have_statements_of_five_seconds_at_most(
    home: object, monkeypatch: pytest.MonkeyPatch, postgres_server: object
) -> None:
    monkeypatch.setenv("ELASTIC__DATABASE__URL", str(postgres_server.url))  # type: ignore[attr-defined]
    database = hasty_database(read_settings())
    with database.read() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "5s"
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "2s"
    database.close()
