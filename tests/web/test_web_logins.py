"""Logins: what holds when users change meanwhile, when many log in at once, and what the audit log says of them."""

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from elastic.core.errors import UsageError
from elastic.db.database import Database
from elastic.db.schema import log, session
from elastic.db.stores.sessions import LoginTries, SessionStore
from elastic.db.stores.users import UserStore
from elastic.web.security.logins import LoginRefusedError, Logins
from elastic.web.security.passwords import hash_password
from tests.web.web_client import BASE_URL, HASH, PASSWORD, WebClient

Web = Callable[[str | None], WebClient]

TIME = dt.datetime(2026, 11, 29, 14, 2, tzinfo=dt.UTC)
OTHER = "something else entirely"


@pytest.fixture
def logins(web_app: FastAPI) -> Logins:
    found: Logins = web_app.state.logins
    return found


@pytest.fixture
def sessions(web_app: FastAPI) -> SessionStore:
    found: SessionStore = web_app.state.sessions
    return found


def rows_of(database: Database, table: Any) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(table.select()).all())


def audited(database: Database) -> list[tuple[str, str, str, str]]:
    """Return event, owner, address and detail of logins and logouts."""
    rows = rows_of(database, log)
    events = ("logged in", "logged out", "login failed", "password check failed")
    return [(row.event, row.owner, row.address, row.detail) for row in rows if row.event in events]


@pytest.mark.parametrize("change", ["password", "disable", "delete"])
def test_no_session_of_an_old_password_is_opened_after_a_change(
    logins: Logins, web_database: Database, change: str
) -> None:
    store = UserStore(web_database)
    verified = logins.verify("operator", PASSWORD, "192.0.2.7")
    match change:
        case "password":
            store.change("operator", password_hash=hash_password(OTHER))
        case "disable":
            store.change("operator", is_active=False)
        case "delete":
            store.delete("operator")
    with pytest.raises(LoginRefusedError):
        logins.begin(verified.username, verified.password_hash, "192.0.2.7")
    assert rows_of(web_database, session) == []


def test_a_password_that_was_changed_meanwhile_is_not_overwritten(web_database: Database) -> None:
    store = UserStore(web_database)
    new = hash_password(OTHER)
    store.change("viewer", password_hash=new)
    with pytest.raises(UsageError, match="was changed meanwhile"):
        store.change("viewer", password_hash="a third hash", instead_of=HASH)
    assert store.get("viewer").password_hash == new


def test_the_audit_log_names_who_logged_in_and_from_where(web: Web, web_app: FastAPI, web_database: Database) -> None:
    client = TestClient(web_app, base_url=BASE_URL, headers={"Origin": BASE_URL}, client=("192.0.2.7", 50000))
    client.post("/login", data={"username": "admin", "password": "wrong"})
    client.post("/login", data={"username": "my password", "password": "wrong"})
    client.post("/login", data={"username": "admin", "password": PASSWORD})
    assert audited(web_database) == [
        ("login failed", "admin", "192.0.2.7", "from 192.0.2.7"),
        ("login failed", "unknown", "192.0.2.7", "from 192.0.2.7"),
        ("logged in", "admin", "192.0.2.7", "admin"),
    ]


def test_a_login_in_place_of_another_user_ends_that_session_under_its_name(web: Web, web_database: Database) -> None:
    client = web("viewer")
    client.post("/login", data={"username": "admin", "password": PASSWORD})
    assert [(event, owner, detail) for event, owner, _, detail in audited(web_database)] == [
        ("logged in", "viewer", "viewer"),
        ("logged in", "admin", "admin"),
        ("logged out", "viewer", "viewer"),
    ]
    assert [row.username for row in rows_of(web_database, session)] == ["admin"]


def test_a_planted_cookie_makes_no_row_of_a_logout(web: Web, web_database: Database) -> None:
    client = web(None)
    client.cookies.set("elastic", "a" * 43)
    client.post("/login", data={"username": "admin", "password": PASSWORD})
    assert [event for event, *_ in audited(web_database)] == ["logged in"]


def test_logins_at_the_same_time_count_each_other(web_database: Database, sessions: SessionStore) -> None:
    together, count = threading.Barrier(12), 12
    logins = Logins(web_database, sessions, lambda: TIME)

    def guess(_: int) -> str:
        together.wait(30)
        try:
            logins.verify("admin", "wrong", "192.0.2.7")
        except Exception as error:
            return type(error).__name__
        return "opened"

    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(guess, range(count)))
    assert found.count("LoginRefusedError") <= 6, found
    assert set(found) <= {"LoginRefusedError", "LoginDelayedError"}


def test_a_login_that_is_delayed_does_not_prolong_the_delay(web_database: Database) -> None:
    tries = LoginTries(web_database)
    first = tries.begin("admin", "192.0.2.7", TIME)
    second = tries.begin("admin", "192.0.2.7", TIME + dt.timedelta(seconds=1))
    tries.drop(second)
    found = tries.failed("admin", "192.0.2.7", TIME, besides=0)
    assert (found.of_account, found.last_at) == (1, TIME)
    assert tries.failed("admin", "192.0.2.7", TIME, besides=first).of_account == 0


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("testclient", "testclient", True),
        ("", "testclient", False),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(
    web_database: Database, first: str, second: str, is_same: bool
) -> None:
    tries = LoginTries(web_database)
    tries.begin("admin", first, TIME)
    assert tries.failed("admin", second, TIME, besides=0).of_address == int(is_same)
    tries.forget("admin", second)
    assert tries.failed("admin", first, TIME, besides=0).of_address == int(not is_same)


def test_guesses_of_the_present_password_are_delayed(web: Web, web_database: Database) -> None:
    client = web("viewer")
    fields = {"current": "wrong", "password": OTHER, "repeated": OTHER}
    codes = [client.submit("/account/password", **fields).status_code for _ in range(7)]
    assert codes == [400] * 5 + [429] * 2
    refused = client.submit("/account/password", **{**fields, "current": PASSWORD})
    assert (refused.status_code, "wait" in refused.text) == (429, True)
    assert int(refused.headers["retry-after"]) > 0
    assert audited(web_database)[-1][:3] == ("password check failed", "viewer", "testclient")


def test_a_new_password_opens_a_session_although_others_failed_to_log_in(
    web: Web, logins: Logins, web_database: Database
) -> None:
    verified = logins.verify("viewer", PASSWORD, "192.0.2.7")
    tries = LoginTries(web_database)
    for number in range(30):
        tries.begin(f"name{number}", "192.0.2.7", dt.datetime.now(dt.UTC))
    assert logins.begin("viewer", verified.password_hash, "192.0.2.7")


@pytest.mark.parametrize("username", ["ä", "viewer\u0000", "\ud800", "viewer\n"])
def test_a_name_that_no_user_can_have_is_not_looked_up(web_database: Database, username: str) -> None:
    assert UserStore(web_database).find(username) is None
