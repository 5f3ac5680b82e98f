"""What protects every route: rights, CSRF, hosts, limits and headers."""

from collections.abc import Callable

import pytest
from fastapi import APIRouter, FastAPI

from elastic.db import queries
from elastic.db.database import Database
from elastic.db.stores.dags import DagRow, FoundDag, cursor_of, store_dags
from elastic.db.stores.users import Role
from elastic.web import app as web_module
from elastic.web.app import check_routes
from elastic.web.routes import GuardedRoute, Router
from elastic.web.security.middleware import HEADERS
from elastic.web.security.rights import LEAST_ROLE, PUBLIC, Right
from tests.web.web_client import WebClient

Web = Callable[[str | None], WebClient]

PUBLIC_PATHS = {"/login", "/static/{name}", "/favicon.ico"}


def routes_of(app: FastAPI) -> list[GuardedRoute]:
    return [route for route in app.router.routes if isinstance(route, GuardedRoute)]


def filled(path: str) -> str:
    """Return a path with a value for each parameter."""
    return "/".join("1" if part.startswith("{") else part for part in path.split("/"))


def test_every_route_but_the_public_ones_needs_a_login(web: Web, web_app: FastAPI) -> None:
    client = web(None)
    found = {route.path for route in routes_of(web_app) if route.requires is PUBLIC}
    assert found <= PUBLIC_PATHS | {"/health"}
    for route in routes_of(web_app):
        if route.requires is PUBLIC:
            continue
        for method in route.methods:
            answer = client.request(method, filled(route.path))
            is_api = route.path.startswith(("/api/", "/flow/"))
            assert answer.status_code == (401 if is_api else 303), f"{method} {route.path}"


def test_each_role_has_the_routes_of_its_rights_and_no_others(web: Web, web_app: FastAPI) -> None:
    for role in ("viewer", "operator"):
        client = web(role)
        identity_may = {right for right, least in LEAST_ROLE.items() if Role(role).covers(least)}
        for route in routes_of(web_app):
            for method in route.methods:
                if route.requires is PUBLIC or route.requires in identity_may:
                    continue
                answer = client.request(method, filled(route.path))
                assert answer.status_code == 403, f"{role} {method} {route.path}"
                assert f"User {role} ({role}) may not" in answer.text


@pytest.mark.parametrize("right", list(Right))
def test_every_right_has_a_least_role(right: Right) -> None:
    assert right in LEAST_ROLE


def test_a_route_that_names_no_right_stops_the_start() -> None:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    plain = APIRouter()
    plain.add_api_route("/open", lambda: "open")
    app.router.routes.extend(plain.routes)
    with pytest.raises(TypeError, match="the route /open names no right"):
        check_routes(app)
    forgotten = Router()
    forgotten.add_api_route("/forgotten", lambda: "open")
    app.router.routes[:] = forgotten.routes
    with pytest.raises(TypeError, match="the route /forgotten names no right"):
        check_routes(app)
    assert web_module.PAGES


def stored(database: Database, dag_id: str = "etl") -> None:
    store_dags(database, [FoundDag(DagRow(dag_id=dag_id, fileloc="/dags/etl.py"))])


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:8080.evil.example"},
    ],
    ids=lambda headers: headers["Origin"] or "empty",
)
def test_a_form_of_another_site_is_refused(web: Web, web_database: Database, headers: dict[str, str]) -> None:
    stored(web_database)
    client = web("operator")
    token = client.csrf_token
    answer = client.post("/dags/etl/pause", data={"csrf_token": token, "paused": "true"}, headers=headers)
    assert answer.status_code == 403
    assert "does not come from a page of this server" in answer.text
    login = web(None).post("/login", data={"username": "admin", "password": "x"}, headers=headers)
    assert login.status_code == 403


def test_a_form_needs_the_token_of_its_session(web: Web, web_database: Database) -> None:
    stored(web_database)
    client, other = web("operator"), web("operator")
    for token in ("", "0" * 64, other.csrf_token):
        answer = client.post("/dags/etl/pause", data={"csrf_token": token, "paused": "true"})
        assert answer.status_code == 403, token
        assert "The form belongs to an older session" in answer.text
    assert client.post("/dags/etl/pause", data={"csrf_token": client.csrf_token, "paused": "true"}).status_code == 303
    cursor = cursor_of(web_database, "etl")
    assert cursor is not None
    assert cursor.is_paused


def test_a_request_without_origin_needs_the_word_of_the_browser(web: Web, web_database: Database) -> None:
    stored(web_database)
    client = web("operator")
    token = client.csrf_token
    del client.headers["origin"]
    data = {"csrf_token": token, "paused": "true"}
    assert client.post("/dags/etl/pause", data=data).status_code == 403
    assert client.post("/dags/etl/pause", data=data, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/dags/etl/pause", data=data, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert client.post("/dags/etl/pause", data=data, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_a_body_of_another_kind_is_refused(web: Web) -> None:
    client = web("operator")
    answer = client.post("/dags/etl/pause", content="paused=true", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    nul = client.post("/dags/etl/pause", data={"csrf_token": client.csrf_token, "paused": "\0"})
    assert nul.status_code == 400
    assert "NUL" in nul.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]", "evil.example:8080"])
def test_an_unknown_host_is_not_answered(web: Web, host: str) -> None:
    client = web(None)
    answer = client.get("/login", headers={"Host": host})
    assert answer.status_code == 400
    assert "does not serve that host name" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:8080"])
def test_the_names_of_this_machine_are_answered(web: Web, host: str) -> None:
    assert web(None).get("/login", headers={"Host": host}).status_code == 200


def test_every_response_has_the_headers(web: Web) -> None:
    client = web("viewer")
    for path in ("/", "/login", "/nothing", "/static/style.css", "/static/none.css", "/dags/x/trigger"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, path
        assert len(answer.headers["x-request-id"]) == 16
    assert client.get("/").headers["cache-control"] == "no-store"
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


def test_large_requests_are_refused(web: Web) -> None:
    client = web("operator")
    assert client.post("/dags/etl/pause", content=b"x" * (2**20 + 1)).status_code == 413

    def parts() -> object:
        for _ in range(20):
            yield b"x" * 100_000

    streamed = client.post("/login", content=parts(), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert streamed.status_code == 413
    assert client.get("/?q=" + "x" * 10_000).status_code == 414
    assert client.get("/" + "x" * 5000).status_code == 414
    many = {f"name{number}": "x" for number in range(2000)}
    assert client.post("/dags/etl/pause", data={"csrf_token": client.csrf_token, **many}).status_code == 400


@pytest.mark.parametrize("path", ["/dags/%00/trigger", "/?q=%00", "/%0d%0aSet-Cookie:x", "/%e2%80%ae"])
def test_control_characters_in_an_address_are_refused(web: Web, path: str) -> None:
    answer = web("viewer").get(path)
    assert answer.status_code == 400
    assert "control characters" in answer.text


@pytest.mark.parametrize("name", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "style.css%2f..", "none.css", "."])
def test_only_static_files_are_sent(web: Web, name: str) -> None:
    assert web(None).get(f"/static/{name}").status_code == 404


def test_a_static_file_may_be_kept_by_browsers(web: Web) -> None:
    client = web(None)
    page = client.get("/login").text
    url = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = client.get(url)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(url, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert client.get("/static/style.css").headers["cache-control"] == "no-cache"


def test_a_page_that_has_not_changed_is_not_sent_again(web: Web) -> None:
    client = web("viewer")
    tag = client.get("/account").headers["etag"]
    answer = client.get("/account", headers={"If-None-Match": tag})
    assert answer.status_code in (200, 304)  # 200 if the minute has changed
    assert client.get("/account", headers={"If-None-Match": '"x"'}).status_code == 200


def test_an_unexpected_error_is_a_page_that_reveals_nothing(web: Web, web_app: FastAPI) -> None:
    broken = Router()

    @broken.get("/broken", requires=Right.READ)
    def fail() -> None:
        raise RuntimeError("a secret")

    web_app.router.routes.extend(broken.routes)
    answer = web("viewer").get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


def test_an_unknown_page_is_one_sentence(web: Web) -> None:
    answer = web("viewer").get("/no/<b>such")
    assert answer.status_code == 404
    assert "There is no page /no/&lt;b&gt;such." in answer.text
    assert web(None).get("/nothing").status_code == 404


def test_a_change_is_logged_with_its_user_and_address(web: Web, web_database: Database) -> None:
    stored(web_database)
    web("operator").submit("/dags/etl/pause", paused="true")
    last = queries.events(web_database)[-1]
    assert (last.event, last.owner, last.address, last.dag_id) == ("paused", "operator", "testclient", "etl")
