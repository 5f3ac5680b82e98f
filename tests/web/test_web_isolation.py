"""The web server loads no code of users, unpickles nothing, and shows no secret and no markup of others."""

import html
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import String, Table, text, update

from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.encryption import add_key, cipher_of
from elastic.db.schema import metadata
from elastic.db.schema.types import Writable
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.dags import set_import_errors
from elastic.db.stores.jobs import MASTER_JOB, start_job
from elastic.db.stores.variables import VariableStore
from elastic.web.context import WebContext
from elastic.web.routes import GuardedRoute
from elastic.web.security.rights import PUBLIC
from tests.web.web_client import WebClient
from tests.web.web_samples import store_dag, store_run
from tests.web.whole_service import fill as fill_everything
from tests.web.whole_service import pages_of

Web = Callable[[str | None], WebClient]

CANARY = "canary-5f3a9b"

RUN = "scheduled_20261101T000000"

#: Values of parameters in addresses.
VALUES = {
    "dag_id": "etl",
    "run_id": RUN,
    "task_id": "first",
    "map_index:int": "0",
    "conn_id": "warehouse",
    "key": "bucket",
    "name": "default",
    "username": "viewer",
    "token_id": "1",
    "step": "0",
    "chunk_id": "0",
}


def get_paths(app: FastAPI) -> Iterator[str]:
    """Yield the address of every page and answer that a GET has, but streams of events."""
    for route in app.router.routes:
        if isinstance(route, GuardedRoute) and "GET" in (route.methods or ()) and route.path != "/events":
            yield re.sub(r"\{([^}]+)\}", lambda found: VALUES.get(found[1], "1"), route.path)


def fill(database: Database) -> None:
    """Store one row, or a few, in the tables that pages show."""
    store_dag(database, tags="a,b", description="what it does")
    tasks = [("first", TaskState.FAILED), ("second", None)]
    store_run(database, state=RunState.FAILED, tasks=tasks)
    set_import_errors(database, {"/dags/old.py": "line 3: no module"})
    start_job(database, MASTER_JOB)


#: Texts that would add an element `x-evil` or an attribute `x-evil` to a page that does not escape them, or that break
#: pages in other ways. Columns of limited length get their beginning.
PAYLOADS = {
    "element": "<x-evil><script>alert(1)</script>",
    "title": "</title></script></textarea><x-evil>",
    "attribute": "\" x-evil=1 ' x-evil=1 ><x-evil x='",
    "template": "{{ 7 * 7 }}{% raw %}${7}&lt;x-evil&gt;",
    "control": "\0\x1b[31m\r\n\u202eevil\u2066\u2028\ufffe\x7f",
    "long": "w" * 10_000,
}

#: Columns whose values programs read back and would refuse: states, digests, encrypted values, numbers of versions.
_READ_BACK = {
    "state", "run_type", "mode", "role", "username", "password_hash", "digest", "structure_digest", "source_digest",
    "attempt_uuid", "path_digest", "structure", "password", "extra", "zone", "version_num", "content", "kind",
}  # fmt: skip
#: Columns that name rows. They keep their values in front, so that rows of different tables still belong together.
_KEYS = {"dag_id", "run_id", "task_id", "pool", "conn_id"}
#: Columns with JSON.
_JSON = {("dag_run", "conf"), ("xcom", "value")}


def poison(table: Table, payload: str) -> dict[str, Any]:
    """Return new values of all columns with text of a table."""
    found: dict[str, Any] = {}
    for column in table.columns:
        if not isinstance(column.type, String | Writable) or column.name in _READ_BACK:
            continue
        if (table.name, column.name) in _JSON:
            found[column.name] = json.dumps({payload: [payload]})
        elif column.name in _KEYS:
            found[column.name] = column + payload[:100]
        elif not column.primary_key and (table.name, column.name) not in _ENCRYPTED:
            found[column.name] = payload[: getattr(column.type, "length", None) or len(payload)]
    return found


_ENCRYPTED = {("variable", "value")}


class Names(HTMLParser):
    """Names of the elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}


@pytest.mark.slow
@pytest.mark.parametrize("with_keys", [False, True], ids=["facts", "names"])
@pytest.mark.parametrize("kind", PAYLOADS)
def test_text_of_every_column_stays_text_on_every_page(
    web: Web, web_app: FastAPI, web_context: WebContext, home: Path, kind: str, with_keys: bool
) -> None:
    fill_everything(web_context, home)
    changed = 0
    with web_context.database.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys=OFF"))
        for table in metadata.sorted_tables:
            values = poison(table, PAYLOADS[kind])
            values = {name: value for name, value in values.items() if with_keys or name not in _KEYS}
            if values:
                changed += connection.execute(update(table).values(values)).rowcount
    assert changed >= 20
    client, shown = web("admin"), 0
    for path in pages_of(web_app):
        page = client.get(path)
        assert page.status_code < 500, f"{path}: {page.text}"
        if not page.headers.get("content-type", "").startswith("text/html"):
            continue
        assert not {name for name in Names(page.text).found if name.startswith("x-evil")}, path
        assert "alert(1)</script>" not in page.text, path
        shown += html.escape(PAYLOADS[kind][:12]).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page.text
    assert shown >= 4 or kind == "control"


def test_a_secret_is_in_no_answer(web: Web, web_app: FastAPI, web_context: WebContext) -> None:
    fill(web_context.database)
    add_key(web_context.settings.home / "fernet.key")
    cipher = cipher_of(web_context.settings)
    fields = {"conn_id": "warehouse", "kind": "mysql", "password": CANARY, "extra": {"token": CANARY}}
    ConnectionStore(web_context.database, cipher).put(fields, is_new=True)
    VariableStore(web_context.database, cipher).put("bucket", CANARY)
    key = (web_context.settings.home / "fernet.key").read_text().strip()
    client = web("admin")
    for path in get_paths(web_app):
        answer = client.get(path)
        assert answer.status_code < 500, path
        for secret in (CANARY, key, client.cookies["elastic"]):
            assert secret not in answer.text, path


def test_reading_changes_nothing_but_the_time_of_the_last_use(
    web: Web, web_app: FastAPI, web_database: Database
) -> None:
    fill(web_database)
    client = web("admin")

    def rows() -> str:
        with web_database.read() as connection:
            return json.dumps(
                {
                    table.name: [str(row) for row in connection.execute(table.select())]
                    for table in metadata.sorted_tables
                }
            )

    before = rows()
    for path in get_paths(web_app):
        client.get(path)
    assert rows() == before


@pytest.mark.slow
def test_the_server_loads_no_dag_file_and_unpickles_nothing(home: Path) -> None:
    """An audit hook of the interpreter sees each import, each open file and each unpickled class."""
    folder = home / "dags"
    folder.mkdir()
    (folder / "trap.py").write_text("raise SystemExit('a DAG file was loaded')\n")
    done = subprocess.run(
        [sys.executable, "-c", _HOOKED, str(folder)], capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "no violation"


_HOOKED = """
import sys
folder, violations = sys.argv[1], []

def watch(event, arguments):
    if event == "pickle.find_class":
        violations.append(f"unpickled {arguments}")
    if event == "open" and str(arguments[0]).startswith(folder):
        violations.append(f"opened {arguments[0]}")
    if event == "import" and str(arguments[0]).partition(".")[0] in ("trap", "ray", "cloudpickle"):
        violations.append(f"imported {arguments[0]}")
    if event == "import" and str(arguments[0]).startswith(("elastic.operators.", "elastic.hooks.sql")):
        violations.append(f"imported {arguments[0]}")

sys.addaudithook(watch)
from elastic.db.stores.users import Role, UserStore
from elastic.web.app import create_app
from elastic.web.context import WebContext
from elastic.web.routes import GuardedRoute
from elastic.web.security.sessions import new_session_id

context = WebContext.of()
UserStore(context.database).create("admin", Role.ADMIN, "none")
app = create_app(context)
session = new_session_id()
app.state.sessions.open(session, "admin", "here", context.clock(), password_hash="none")

# Only the messages of ASGI: a test client would import more than the server does.
import asyncio

async def get(path):
    answer = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        answer.append(message)
    headers = [(b"host", b"127.0.0.1"), (b"cookie", f"elastic={session}".encode())]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers,
             "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080), "root_path": ""}
    await app(scope, receive, send)
    return answer[0]["status"]

for route in app.router.routes:
    if isinstance(route, GuardedRoute) and "GET" in route.methods and route.path != "/events":
        path = "/".join("1" if part.startswith("{") else part for part in route.path.split("/"))
        status = asyncio.run(get(path))
        if status >= 500 and path != "/health":
            violations.append(f"{path} answered {status}")
print("\\n".join(violations) or "no violation")
"""


def test_the_pages_that_need_no_login_are_few(web_app: FastAPI) -> None:
    routes = [route for route in web_app.router.routes if isinstance(route, GuardedRoute)]
    public = {route.path for route in routes if route.requires is PUBLIC}
    assert public == {"/login", "/static/{name}", "/favicon.ico", "/health"}
