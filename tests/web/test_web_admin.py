"""Pages of administration: connections, variables, pools, users, tokens, audit, settings and health."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from elastic.db import queries
from elastic.db.database import Database
from elastic.db.encryption import add_key, cipher_of
from elastic.db.schema import connection, variable
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.dags import set_import_errors
from elastic.db.stores.jobs import MASTER_JOB, start_job
from elastic.db.stores.pools import PoolStore
from elastic.db.stores.users import Role, UserStore
from elastic.db.stores.variables import VariableStore
from elastic.web.context import WebContext
from tests.web.web_client import PASSWORD, WebClient

Web = Callable[[str | None], WebClient]

CANARY = "canary-5f3a9b"


@pytest.fixture
def key(home: Path) -> None:
    """A Fernet key."""
    add_key(home / "fernet.key")


def test_a_connection_is_made_changed_and_deleted_and_its_password_is_never_shown(
    web: Web, web_context: WebContext, key: None
) -> None:
    client = web("admin")
    fields = {"conn_id": "warehouse", "kind": "postgresql", "host": "db1", "port": "5432", "login": "ada"}
    page = client.followed("/admin/connections/new", **fields, password=CANARY, extra='{"token": "canary-5f3a9b"}')
    assert "Connection warehouse is stored." in page
    assert "is set" in page
    store = ConnectionStore(web_context.database, cipher_of(web_context.settings))
    assert store.get("warehouse").password == CANARY
    form = client.get("/admin/connections/warehouse").text
    assert CANARY not in page + form
    assert 'value="db1"' in form
    client.followed("/admin/connections/warehouse", **{**fields, "host": "db2"})
    found = store.get("warehouse")
    assert (found.host, found.password, dict(found.extra)) == ("db2", CANARY, {"token": CANARY})
    client.followed("/admin/connections/warehouse", **fields, password="canary-77aa02")
    assert store.get("warehouse").password == "canary-77aa02"
    with web_context.database.read() as transaction:
        assert CANARY not in str(transaction.execute(connection.select()).all())
    assert "No connections yet" in client.followed("/admin/connections/warehouse/delete")
    assert store.find("warehouse") is None
    noted = [(one.event, one.owner) for one in queries.events(web_context.database) if one.event.startswith("conn")]
    assert noted == [("connection set", "admin")] * 3 + [("connection deleted", "admin")]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"conn_id": "a/b"}, "conn_id"),
        ({"conn_id": ""}, "conn_id"),
        ({"port": "99999"}, "The port must be a number from 0 to 65535"),
        ({"kind": ""}, "The kind is missing"),
        ({"extra": "[1]"}, "The extra settings must be a JSON object"),
        ({"extra": "[" * 5000}, "The extra settings must be a JSON object"),
        ({"conn_id": "taken"}, "exists already"),
    ],
)
def test_a_refused_connection_comes_back_with_what_was_typed(
    web: Web, key: None, fields: dict[str, str], sentence: str
) -> None:
    client = web("admin")
    typed = {"conn_id": "new", "kind": "mysql", "host": "<i>typed</i>", "password": CANARY}
    client.submit("/admin/connections/new", **{**typed, "conn_id": "taken"})
    answer = client.submit("/admin/connections/new", **{**typed, **fields})
    assert answer.status_code == 400
    assert sentence in answer.text
    assert 'value="&lt;i&gt;typed&lt;/i&gt;"' in answer.text
    assert CANARY not in answer.text


def test_a_secret_without_a_key_is_refused_with_what_to_do(web: Web) -> None:
    answer = web("admin").submit("/admin/connections/new", conn_id="a", kind="mysql", password="x")
    assert answer.status_code == 400
    assert "elastic db make-key" in answer.text


def test_a_variable_is_set_and_its_value_is_never_shown(web: Web, web_context: WebContext, key: None) -> None:
    client = web("admin")
    page = client.followed("/admin/variables/new", key="bucket", value=CANARY, description="of events")
    assert "of events" in page
    store = VariableStore(web_context.database, cipher_of(web_context.settings))
    assert store.get("bucket").value == CANARY
    assert CANARY not in page + client.get("/admin/variables/bucket").text
    refused = client.submit("/admin/variables/new", key="bucket", value="replaced")
    assert (refused.status_code, store.get("bucket").value) == (400, CANARY)
    assert "exists already; choose another name, or change that one." in refused.text
    client.followed("/admin/variables/bucket", value="other", description="new")
    assert (store.get("bucket").value, store.get("bucket").description) == ("other", "new")
    client.followed("/admin/variables/bucket/delete")
    assert store.find("bucket") is None
    with web_context.database.read() as transaction:
        assert transaction.execute(variable.select()).all() == []


def test_pools_are_seen_by_all_and_changed_by_admins(web: Web, web_database: Database) -> None:
    client = web("admin")
    client.followed("/admin/pools/new", name="narrow", slots="2", description="one licence")
    assert "one licence" in web("viewer").get("/admin/pools").text
    assert "/admin/pools/narrow" not in web("viewer").get("/admin/pools").text
    refused = client.submit("/admin/pools/new", name="narrow", slots="7")
    assert refused.status_code == 400
    assert "exists already; choose another name, or change that one." in refused.text
    assert {pool.pool: pool.slots for pool in PoolStore(web_database).all()}["narrow"] == 2
    client.followed("/admin/pools/narrow", slots="-1", description="")
    assert {pool.pool: pool.slots for pool in PoolStore(web_database).all()}["narrow"] == -1
    for slots in ("x", "-2", "", "9999999"):
        answer = client.submit("/admin/pools/narrow", slots=slots)
        assert answer.status_code == 400
        assert "The number of slots must be" in answer.text
    client.followed("/admin/pools/narrow/delete")
    assert [pool.pool for pool in PoolStore(web_database).all()] == ["default"]
    assert client.submit("/admin/pools/default/delete").status_code == 400


def test_users_are_made_changed_disabled_and_deleted(web: Web, web_database: Database) -> None:
    client, store = web("admin"), UserStore(web_database)
    client.followed("/admin/users/new", username="eve", role="operator", password="a good long one")
    login = {"username": "eve", "password": "a good long one"}
    assert web(None).post("/login", data=login).status_code == 303
    client.followed("/admin/users/eve", role="viewer", password="")
    assert store.get("eve").role is Role.VIEWER
    client.followed("/admin/users/eve/active", active="false")
    assert web(None).post("/login", data=login).status_code == 401
    client.followed("/admin/users/eve/active", active="true")
    client.followed("/admin/users/eve", role="viewer", password="another good one")
    assert web(None).post("/login", data={**login, "password": "another good one"}).status_code == 303
    client.followed("/admin/users/eve/delete")
    assert store.find("eve") is None


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/admin/users/admin", {"role": "viewer"}),
        ("/admin/users/admin/active", {"active": "false"}),
        ("/admin/users/admin/delete", {}),
    ],
)
def test_the_last_admin_stays(web: Web, web_database: Database, path: str, fields: dict[str, str]) -> None:
    answer = web("admin").submit(path, **fields)
    assert answer.status_code == 400
    assert "is the last active admin; give another user the role admin first." in answer.text
    assert UserStore(web_database).get("admin").is_active


def test_a_refused_user_comes_back(web: Web) -> None:
    client = web("admin")
    for fields, sentence in (
        ({"username": "eve", "password": "short"}, "A password has 10 to 256 characters"),
        ({"username": "viewer", "password": "a good long one"}, "exists already"),
        ({"username": "../x", "password": "a good long one"}, "username"),
    ):
        answer = client.submit("/admin/users/new", role="viewer", **fields)
        assert answer.status_code == 400
        assert sentence in answer.text


def test_a_token_is_shown_once_and_can_be_revoked(web: Web, web_app: object) -> None:
    client = web("admin")
    page = client.submit("/admin/tokens/new", name="nightly", role="viewer", days="1").text
    found = re.search(r"els_[0-9A-Za-z]{43}", page)
    assert found is not None
    listed = client.get("/admin/tokens").text
    assert "nightly" in listed
    assert found[0] not in listed
    program = TestClient(web_app, base_url="http://127.0.0.1:8080", follow_redirects=False)  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {found[0]}"}
    assert program.get("/browse/runs", headers=headers).status_code == 200
    assert program.get("/admin/users", headers=headers).status_code == 403, "the token has a lower role than its user"
    number = re.search(r'action="(/admin/tokens/\d+/revoke)"', listed)
    assert number is not None
    client.followed(number[1])
    assert program.get("/browse/runs", headers=headers).status_code == 303
    for name, days in (("", "1"), ("x", "-1"), ("x", "soon"), ("x", "99999")):
        assert client.submit("/admin/tokens/new", name=name, role="viewer", days=days).status_code == 400


def test_an_unknown_thing_is_named_with_similar_ones(web: Web, web_database: Database) -> None:
    PoolStore(web_database).put("warehouse", 1)
    answer = web("admin").get("/admin/pools/warehose")
    assert answer.status_code == 404
    assert "There is no pool &#39;warehose&#39;." in answer.text
    assert 'Did you mean <a class="link" href="/admin/pools/warehouse">warehouse</a>?' in answer.text


def test_settings_show_sources_and_no_secret(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    page = web("admin").get("/admin/settings").text
    assert "core.parallelism" in page
    assert "default" in page
    assert "ELASTIC_HOME" not in page or "fernet_key" in page


def test_health_is_public_and_names_no_address(
    web: Web, web_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC_VAR_API_TOKEN", "canary of the file")
    client = web(None)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["healthy"]) == (503, False)
    assert web_database.url not in answer.text
    start_job(web_database, MASTER_JOB)
    answer = client.get("/health")
    parts = dict.fromkeys(("database", "master", "triggerer", "DAG files"), True)
    assert answer.json() == {"healthy": True, "parts": parts}
    broken = "No module named 'canary of the file'\nTraceback"
    set_import_errors(web_database, {"/dags/a.py": broken, "/dags/b.py": broken})
    page = web("viewer").get("/admin/health").text
    assert "alive" in page
    assert "0 DAGs; 2 files are broken: /dags/a.py: No module named &#39;***&#39;" in page
    assert "Traceback" not in page


def test_the_audit_log_shows_who_did_what_from_where(web: Web, web_database: Database) -> None:
    client = web("admin")
    client.submit("/admin/pools/new", name="narrow", slots="2")
    page = client.get("/admin/audit?users=1&event=pool+set").text
    assert "narrow: 2 slots" in page
    assert "testclient" in page
    assert ">admin<" in page
    assert PASSWORD not in page


def test_a_user_sees_only_the_tabs_of_the_own_role(web: Web) -> None:
    tabs = re.compile(r'href="(/admin/[a-z-]+)"')
    assert set(tabs.findall(web("operator").get("/admin/health").text)) == {"/admin/pools", "/admin/health"}
    assert len(set(tabs.findall(web("admin").get("/admin/health").text))) == 8
