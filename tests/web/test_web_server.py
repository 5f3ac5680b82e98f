"""The process of the web server: who reaches it, and how long it waits for them."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from elastic.core.errors import UsageError
from elastic.db.schema import log
from elastic.db.stores.users import Role, UserStore
from elastic.web.app import create_app
from elastic.web.context import WebContext
from elastic.web.proxy_gate import ProxyGate
from elastic.web.server import ServerOptions
from elastic.web.timed_connection import TimedConnection
from tests.web.conftest import BASE_URL, HASH, PASSWORD, WebClient


@pytest.mark.parametrize(
    "proxy", ["*", "proxy.example.org", "10.0.0.0/8", "10.0.0.1,10.0.0.2", "10.0.0.1:80", "fe80::1%eth0"]
)
def test_a_proxy_that_is_not_an_ip_address_is_refused(proxy: str) -> None:
    with pytest.raises(UsageError, match="expected the IP address of one proxy"):
        ServerOptions(host="10.0.0.5", port=0, behind_proxy=proxy).check()


@pytest.mark.parametrize("proxy", ["10.0.0.1", "2001:db8::1"])
def test_a_proxy_is_an_ip_address(proxy: str) -> None:
    ServerOptions(host="10.0.0.5", port=0, behind_proxy=proxy).check()


def test_a_made_up_password_must_be_changed_behind_a_proxy(web_context: WebContext) -> None:
    options = ServerOptions(host="127.0.0.1", port=0, behind_proxy="127.0.0.1")
    assert (options.is_loopback, options.is_private) == (True, False)
    UserStore(web_context.database).create("fresh", Role.ADMIN, HASH, is_initial=True)
    client = WebClient(create_app(replace(web_context, is_loopback=options.is_private)), None)
    client.post("/login", data={"username": "fresh", "password": PASSWORD})
    assert client.get("/").headers["location"] == "/account"


@pytest.mark.parametrize(
    ("peer", "is_exclusive", "status"),
    [
        ("10.0.0.1", True, 200),
        ("::ffff:10.0.0.1", True, 200),
        ("10.0.0.2", True, 403),
        ("2001:db8::1", True, 403),
        ("testclient", True, 403),
        ("10.0.0.2", False, 200),
    ],
)
def test_only_the_proxy_is_answered(web_app: FastAPI, peer: str, is_exclusive: bool, status: int) -> None:
    gate = ProxyGate(web_app, "10.0.0.1", is_exclusive=is_exclusive)
    assert TestClient(gate, base_url=BASE_URL, client=(peer, 1)).get("/login").status_code == status


@pytest.mark.parametrize(
    ("peer", "address"), [("10.0.0.1", "192.0.2.7"), ("::ffff:10.0.0.1", "192.0.2.7"), ("10.0.0.2", "10.0.0.2")]
)
def test_the_headers_of_the_proxy_count_and_those_of_others_do_not(
    web_app: FastAPI, web_context: WebContext, peer: str, address: str
) -> None:
    gate = ProxyGate(web_app, "10.0.0.1", is_exclusive=False)
    headers = {"Origin": BASE_URL, "X-Forwarded-For": "192.0.2.7"}
    client = TestClient(gate, base_url=BASE_URL, client=(peer, 1), headers=headers)
    client.post("/login", data={"username": "viewer", "password": PASSWORD})
    with web_context.database.read() as connection:
        rows = connection.execute(log.select().where(log.c.event == "logged in")).all()
    assert [row.address for row in rows] == [address]


@pytest.fixture
def address(web_app: FastAPI) -> Iterator[tuple[str, int]]:
    """Address of a server that waits 0.5 s for a request."""

    class Impatient(TimedConnection):
        request_seconds = 0.5

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(web_app, http=Impatient, lifespan="off", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(30)
    listener.close()


HEAD = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD, HEAD + b"Content-Length: 10\r\n\r\nuser"])
def test_a_connection_without_a_full_request_is_closed(address: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(address, 30) as client:
        client.sendall(sent)
        while received := client.recv(65536):
            assert b"200 OK" not in received


def test_a_connection_that_waits_for_its_next_request_stays_open(address: tuple[str, int]) -> None:
    request = b"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(address, 30) as client:
        client.sendall(request)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        client.settimeout(1.5)
        with pytest.raises(TimeoutError):
            while client.recv(65536):
                pass
        client.settimeout(30)
        client.sendall(request)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
