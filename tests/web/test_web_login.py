"""Login and logout: sessions begin, end, and cannot be taken over."""

import datetime as dt
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from fastapi import FastAPI

from elastic.db import queries
from elastic.db.database import Database
from elastic.db.schema import session
from elastic.db.stores.users import Role, UserStore
from elastic.web.app import create_app
from elastic.web.context import WebContext
from elastic.web.security.logins import LoginRefusedError
from tests.web.web_client import HASH, PASSWORD, WebClient

Web = Callable[[str | None], WebClient]


class Clock:
    """Clock that the test moves."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 29, 14, 2, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def move(self, **time: float) -> None:
        self.now += dt.timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def web_app(web_context: WebContext, clock: Clock) -> FastAPI:
    return create_app(replace(web_context, clock=clock))


def test_a_user_logs_in_and_out(web: Web) -> None:
    client = web(None)
    answer = client.post("/login", data={"username": "viewer", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=lax" in answer.headers["set-cookie"].lower()
    assert "viewer" in client.get("/account").text
    cookie = client.cookies["elastic"]
    assert client.submit("/logout").headers["location"] == "/login"
    assert "elastic" not in client.cookies
    client.cookies.set("elastic", cookie)
    assert client.get("/").headers["location"] == "/login", "the session is replayed after the logout"


def test_a_page_that_needs_a_login_comes_back_after_it(web: Web) -> None:
    client = web(None)
    sent = client.get("/account?x=1&y=%20")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/login?next=%2Faccount%3Fx%3D1%26y%3D%2520"
    page = client.get(sent.headers["location"]).text
    assert 'name="next" value="/account?x=1&amp;y=%20"' in page
    answer = client.post("/login", data={"username": "admin", "password": PASSWORD, "next": "/account?x=1&y=%20"})
    assert answer.headers["location"] == "/account?x=1&y=%20"


@pytest.mark.parametrize(
    "url",
    ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)", "/\t/e"],
)
def test_no_address_of_another_site_is_opened_after_the_login(web: Web, url: str) -> None:
    client = web(None)
    answer = client.post("/login", data={"username": "admin", "password": PASSWORD, "next": url})
    assert answer.headers["location"] == "/"
    assert client.get("/login", params={"next": url}).headers["location"] == "/"


@pytest.mark.parametrize("username", ["viewer", "nobody-has-this-name", "", "VIEWER", "viewer\n", "a" * 5000, "\ud800"])
def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(web: Web, username: str) -> None:
    client = web(None)
    data = {"username": username.encode("utf-8", "surrogatepass"), "password": b"wrong"}
    answer = client.post("/login", data=data)
    assert answer.status_code == 401
    assert "The name or the password is wrong; try again." in answer.text
    assert "elastic" not in client.cookies


def test_a_disabled_user_cannot_log_in_and_is_not_named(web: Web, web_database: Database) -> None:
    client = web("viewer")
    UserStore(web_database).change("viewer", is_active=False)
    assert client.get("/").status_code == 303
    answer = web(None).post("/login", data={"username": "viewer", "password": PASSWORD})
    assert (answer.status_code, "name or the password is wrong" in answer.text) == (401, True)


def test_the_login_makes_a_new_session(web: Web) -> None:
    client = web(None)
    planted = "a" * 43
    client.cookies.set("elastic", planted)
    client.post("/login", data={"username": "viewer", "password": PASSWORD})
    assert {cookie.value for cookie in client.cookies.jar} - {planted}
    other = web(None)
    other.cookies.set("elastic", planted)
    assert other.get("/").status_code == 303


def test_the_database_has_no_id_of_a_session(web: Web, web_database: Database) -> None:
    client = web("viewer")
    with web_database.read() as connection:
        rows = connection.execute(session.select()).all()
    assert len(rows) == 1
    assert client.cookies["elastic"] not in str(rows)


def test_a_session_ends_without_requests_and_after_a_week(web: Web, clock: Clock) -> None:
    client = web("viewer")
    clock.move(hours=7.9)
    assert client.get("/").status_code == 200
    clock.move(hours=7.9)
    assert client.get("/").status_code == 200, "a request did not prolong the session"
    clock.move(hours=8.1)
    assert client.get("/").status_code == 303
    client = web("viewer")
    for _ in range(20):
        clock.move(hours=7.9)
        assert client.get("/").status_code == 200
    clock.move(hours=7.9)
    clock.move(hours=3)
    assert client.get("/").status_code == 303, "the session outlived a week"


@pytest.mark.parametrize("change", ["password", "role", "disable", "delete"])
def test_a_change_of_the_user_ends_the_sessions(web: Web, web_database: Database, change: str) -> None:
    client, store = web("operator"), UserStore(web_database)
    match change:
        case "password":
            store.change("operator", password_hash=HASH)
        case "role":
            store.change("operator", role=Role.VIEWER)
        case "disable":
            store.change("operator", is_active=False)
        case "delete":
            store.delete("operator")
    assert client.get("/").headers["location"] == "/login"


def test_failed_logins_are_delayed_and_do_not_lock_others_out(web: Web, clock: Clock) -> None:
    client = web(None)
    wrong = {"username": "admin", "password": "wrong"}
    right = {"username": "admin", "password": PASSWORD}
    assert [client.post("/login", data=wrong).status_code for _ in range(7)] == [401] * 5 + [429] * 2
    refused = client.post("/login", data=right)
    assert refused.status_code == 429
    assert "wait 2 s" in refused.text
    assert refused.headers["retry-after"] == "2"
    clock.move(seconds=3)
    assert client.post("/login", data=wrong).status_code == 401
    assert "wait 4 s" in client.post("/login", data=right).text
    clock.move(seconds=5)
    assert client.post("/login", data={"username": "viewer", "password": PASSWORD}).status_code == 303
    assert client.post("/login", data=right).status_code == 303, "the login that works was locked out"
    clock.move(minutes=6)
    assert client.post("/login", data=wrong).status_code == 401


def test_guesses_of_many_names_from_one_address_are_delayed(web: Web) -> None:
    client = web(None)
    names = [f"name{number}" for number in range(22)]
    codes = [client.post("/login", data={"username": name, "password": "x"}).status_code for name in names]
    assert codes == [401] * 20 + [429] * 2


def test_logins_are_in_the_audit_log_without_what_was_typed(web: Web, web_database: Database) -> None:
    web("admin")
    web(None).post("/login", data={"username": "my secret password", "password": "my other secret"})
    events = queries.events(web_database)
    assert [one.event for one in events if one.event.startswith("log")] == ["logged in", "login failed"]
    assert "secret" not in str(events)


def test_the_user_sets_a_password_and_the_other_sessions_end(web: Web) -> None:
    client, other = web("viewer"), web("viewer")
    fields = {"current": PASSWORD, "password": "something else entirely", "repeated": "something else entirely"}
    assert client.submit("/account/password", **fields).status_code == 303
    assert client.get("/account").status_code == 200
    assert other.get("/account").status_code == 303
    assert web(None).post("/login", data={"username": "viewer", "password": PASSWORD}).status_code == 401


@pytest.mark.parametrize(
    ("current", "password", "repeated", "sentence"),
    [
        ("wrong", "something else entirely", "something else entirely", "The current password is wrong"),
        (PASSWORD, "something else entirely", "something else", "The two new passwords differ"),
        (PASSWORD, "short", "short", "A password has 10 to 256 characters, got 5"),
        (PASSWORD, "1234567890", "1234567890", "easy to guess"),
        (PASSWORD, "viewer-viewer", "viewer-viewer", "easy to guess"),
    ],
)
def test_a_password_that_cannot_be_set_is_explained(
    web: Web, current: str, password: str, repeated: str, sentence: str
) -> None:
    client = web("viewer")
    answer = client.submit("/account/password", current=current, password=password, repeated=repeated)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert client.get("/account").status_code == 200


def test_times_are_shown_in_the_zone_of_the_user(web: Web) -> None:
    client = web("viewer")
    assert "14:02</time> UTC" in client.get("/account").text
    client.cookies.set("elastic_zone", "Asia/Tokyo")
    assert "23:02</time> Asia/Tokyo" in client.get("/account").text
    page = client.followed("/account/zone", zone="America/New_York")
    assert "09:02</time> America/New_York" in page
    assert "Times are now shown in America/New_York." in page
    assert "Times are now shown in" not in client.get("/account").text.split("<form")[0]
    refused = client.submit("/account/zone", zone="Mars/Olympus<b>")
    assert refused.status_code == 400
    assert "There is no time zone &#39;Mars/Olympus&lt;b&gt;&#39;" in refused.text


def test_an_unknown_name_takes_as_long_as_a_wrong_password(web_app: FastAPI) -> None:
    logins = web_app.state.logins

    def seconds(username: str) -> float:
        found = []
        for number in range(7):
            began = time.thread_time()
            with pytest.raises(LoginRefusedError):
                logins.open(username, "a wrong password", f"10.0.0.{number}")
            found.append(time.thread_time() - began)
        return statistics.median(found)

    known, unknown = seconds("admin"), seconds("no-such-user")
    assert 0.7 < known / unknown < 1.4, f"{known:.3f} s and {unknown:.3f} s"
