"""Test of a connection on its page: only allowed hosts, in a process of its own, without secrets."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from elastic.db import queries
from elastic.db.encryption import add_key, cipher_of
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.users import Role
from elastic.hooks.connection import Connection
from elastic.service.connection_check import answer_of, refusal
from elastic.web import connection_check as tested
from elastic.web.app import create_app
from elastic.web.context import WebContext
from tests.web.web_client import WebClient

Web = Callable[[str | None], WebClient]

SECRET = "canary-5f3a9b"
URL = "/admin/connections/mail"
ALLOWED = "mail.example.org, 127.0.0.1:2525"


def connection(**changes: Any) -> Connection:
    given = Connection(conn_id="mail", kind="smtp", host="mail.example.org", login="ada", password=SECRET)
    return replace(given, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "other.example.org"},
        {"host": "sub.mail.example.org"},
        {"host": "mail.example.org.evil.example"},
        {"host": "mail.example.org,evil.example"},
        {"host": ""},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1", "port": 5432},
        {"host": "2130706433", "port": 2525},
        {"host": "[::ffff:127.0.0.1]", "port": 2525},
        {"kind": "sqlite"},
        {"kind": "http"},
        {"kind": "webhook+https"},
        {"kind": "postgresql", "extra": {"hostaddr": "10.0.0.1"}},
        {"kind": "postgresql", "extra": {"service": "other"}},
        {"kind": "postgresql", "schema": "host=evil.example"},
        {"kind": "mysql", "extra": {"unix_socket": "/run/other.sock"}},
    ],
    ids=str,
)
def test_a_host_that_is_not_allowed_is_never_asked(changes: dict[str, Any]) -> None:
    found = refusal(connection(**changes), ALLOWED)
    assert "`elastic connections test mail`" in found
    assert SECRET not in found


@pytest.mark.parametrize(
    "changes", [{}, {"host": "MAIL.example.org"}, {"host": "127.0.0.1", "port": 2525}, {"kind": "postgresql"}], ids=str
)
def test_an_allowed_host_may_be_tested(changes: dict[str, Any]) -> None:
    assert refusal(connection(**changes), ALLOWED) == ""
    assert refusal(connection(**changes), "") != ""


@pytest.fixture
def mail_server() -> Iterator[int]:
    """Port of a server that greets one client as a mail server, and refuses its password with an echo of it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, client.makefile("rwb") as stream:
            stream.write(b"220 here\r\n")
            stream.flush()
            for line in stream:
                word = line[:4].upper()
                stream.write(b"250 fine\r\n" if word != b"QUIT" else b"221 bye\r\n")
                stream.flush()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()
    thread.join(10)


def client_of(web_context: WebContext, monkeypatch: pytest.MonkeyPatch, allowed: str, **fields: Any) -> WebClient:
    add_key(web_context.settings.home / "fernet.key")
    monkeypatch.setenv("ELASTIC__WEB__TEST_CONNECTIONS", allowed)
    from elastic.config.settings import read_settings

    context = replace(web_context, settings=read_settings())
    given = {"conn_id": "mail", "kind": "smtp", "password": SECRET, **fields}
    ConnectionStore(context.database, cipher_of(context.settings)).put(given, is_new=True)
    return WebClient(create_app(context), Role.ADMIN)


@pytest.mark.slow
def test_a_connection_is_tested_from_its_page_in_another_process(
    web_context: WebContext, monkeypatch: pytest.MonkeyPatch, mail_server: int
) -> None:
    allowed = f"127.0.0.1:{mail_server}"
    client = client_of(web_context, monkeypatch, allowed, host="127.0.0.1", port=mail_server, extra={"starttls": "no"})
    assert f'action="{URL}/test"' in client.get(URL).text
    assert "answers" in client.followed(f"{URL}/test")
    events = [one.detail for one in queries.events(web_context.database) if one.event == "connection tested"]
    assert events == ["mail: answers"]


def test_a_refused_test_is_told_in_the_process_of_the_test(
    web_context: WebContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_of(web_context, monkeypatch, "mail.example.org", host="10.0.0.1")
    from elastic.config.settings import read_settings

    found = answer_of(read_settings(), "mail")
    assert (found.ok, "is not in the setting web.test_connections" in found.message) == (False, True)
    assert not answer_of(read_settings(), "unknown").ok


def test_a_test_that_fails_or_hangs_shows_its_sentence_and_no_secret(
    web_context: WebContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(web_context, monkeypatch, "mail.example.org", host="mail.example.org")
    monkeypatch.setattr(tested, "_PROCESS", "json")
    page = client.submit(f"{URL}/test").text
    assert "without a result" in page
    monkeypatch.setattr(tested, "LIMIT_SECONDS", 0.001)
    page = client.submit(f"{URL}/test").text
    assert "was stopped" in page
    assert SECRET not in page


def test_tests_are_off_by_default(web: Web, web_context: WebContext, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(web_context, monkeypatch, "", host="mail.example.org")
    assert "/test" not in client.get(URL).text
    assert client.submit(f"{URL}/test").status_code == 409
    assert web("operator").submit(f"{URL}/test").status_code == 403
