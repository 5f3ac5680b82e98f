"""A service whose every page has something to show, and the addresses of its pages."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import delete, insert, update

from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.encryption import add_key, cipher_of
from elastic.db.records import DagRun
from elastic.db.schema import dag_code, dag_cursor, task_attempt
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.dags import set_import_errors
from elastic.db.stores.jobs import MASTER_JOB, start_job
from elastic.db.stores.pools import PoolStore
from elastic.db.stores.users import Role
from elastic.db.stores.variables import VariableStore
from elastic.web.context import WebContext
from elastic.web.routes import GuardedRoute
from tests.run_views.stored_run_samples import ACTION, RUN, letter_of, make_run, store_action
from tests.run_views.stored_run_samples import Sample as FlowSample
from tests.web.dag_page_samples import Sample, key_of, log_text, sample_run_id

RUN_PAGE = f"/dags/etl/runs/{sample_run_id(1)}"
TASK_PAGE = f"{RUN_PAGE}/tasks/load.prices/1"
STEP_PAGE = f"/flows/{RUN}/0"

#: Addresses of pages of DAGs, runs and task instances.
DAG_PAGES = (
    "/",
    "/?q=nothing-has-this-name",
    "/dags/etl",
    "/dags/etl?view=table",
    "/dags/etl?view=graph",
    "/dags/etl?view=code",
    "/dags/etl?view=runs",
    "/dags/etl/trigger",
    f"/dags/etl/clear?run={sample_run_id(1)}&task=load.prices&downstream=1",
    RUN_PAGE,
    f"{RUN_PAGE}?view=graph",
    f"{RUN_PAGE}/tasks/load.prices",
    TASK_PAGE,
    f"{TASK_PAGE}?tab=log",
    f"{TASK_PAGE}?tab=why",
    f"{TASK_PAGE}?tab=rendered",
    f"{TASK_PAGE}?tab=xcom",
    f"{TASK_PAGE}?tab=attempts",
    f"{RUN_PAGE}/tasks/mail?tab=why",
)

#: Addresses of pages of flows.
FLOW_PAGES = (
    "/flows",
    STEP_PAGE,
    f"{STEP_PAGE}/chunks/1",
    f"{STEP_PAGE}/letters",
    f"{STEP_PAGE}/letters/1-0",
    f"{STEP_PAGE}/proof",
    f"{STEP_PAGE}/actions/{ACTION}",
)

#: Addresses of pages of rows of the service and of its administration.
SERVICE_PAGES = (
    "/browse/runs",
    "/browse/instances",
    "/browse/jobs",
    "/browse/logs",
    "/browse/import-errors",
    "/browse/notifications",
    "/admin/connections",
    "/admin/connections/new",
    "/admin/connections/warehouse",
    "/admin/variables",
    "/admin/variables/new",
    "/admin/variables/bucket",
    "/admin/pools",
    "/admin/pools/new",
    "/admin/pools/heavy",
    "/admin/users",
    "/admin/users/new",
    "/admin/users/viewer",
    "/admin/tokens",
    "/admin/tokens/new",
    "/admin/audit",
    "/admin/settings",
    "/admin/health",
    "/account",
)

#: Addresses that answer with an error page.
ERROR_PAGES = ("/dags/no-such-dag", "/no/such/page", "/browse/instances?after=wrong")

#: Addresses of all kinds of pages that a logged-in admin sees.
PAGES = DAG_PAGES + FLOW_PAGES + SERVICE_PAGES + ERROR_PAGES

_SOURCE = """# Load prices.
from elastic.dag import DAG


@decorated
def load(price: str) -> int:
    return int(price) * 100 if price else None


with DAG("etl", schedule="@daily"):
    print(f"{len([1.5])} prices")
"""

#: Values of parameters in addresses.
_VALUES = {
    "dag_id": "etl",
    "run_id": sample_run_id(1),
    "task_id": "load.prices",
    "map_index:int": "1",
    "step": "0",
    "chunk_id": "1",
}

#: Routes that answer a GET with something else than a page.
_OTHERS = ("/static/", "/favicon", "/health", "/events", "/api/", "/login")


def pages_of(app: FastAPI) -> Iterator[str]:
    """Yield the addresses of all pages: those of this module, and one for each other route, which may not be a page."""
    yield from PAGES
    paths = [address.partition("?")[0] for address in PAGES]
    for route in app.router.routes:
        if not isinstance(route, GuardedRoute) or "GET" not in (route.methods or ()) or route.path.startswith(_OTHERS):
            continue
        if not any(route.path_regex.match(path) for path in paths):
            yield re.sub(r"\{([^}]+)\}", lambda found: _VALUES.get(found[1], "1"), route.path)


def fill(context: WebContext, home: Path) -> DagRun:
    """Store a DAG with a failed run, whose failed task ran a flow with bad entries, and a row in every other list.

    Returns:
        The failed run.
    """
    sample = Sample(context.deployment)
    sample.run(0)
    run = sample.run(1, RunState.FAILED, load__prices=TaskState.FAILED, stats__totals=TaskState.UPSTREAM_FAILED)
    key = key_of(run, "load.prices", 1)
    sample.log(run, key, log_text(5, error=True))
    sample.push(key, "return_value", {"rows": [1, 2, 3]})
    sample.line(key, "one line of the flow")
    letters = (letter_of(1, 0), letter_of(1, 2, entry=b"\xff\x00"), letter_of(5, None, entry=[1, 2, 3]))
    folder = make_run(home, FlowSample(chunks=10, failed={1: 2, 5: 3}, letters=letters, resent=(4,)))
    store_action(folder, log=b"verified 10 chunks\n", output=b'{"findings": []}')
    _adjust(context.database, run)
    _fill_administration(context)
    return run


def _adjust(database: Database, run: DagRun) -> None:
    """Write that the failed task instance ran the flow, a short source of the DAG, and its next run."""
    failed = (task_attempt.c.run_id == run.run_id) & (task_attempt.c.state == TaskState.FAILED)
    with database.begin() as connection:
        connection.execute(update(task_attempt).where(failed).values(flow_run_id=RUN))
        connection.execute(update(dag_code).values(source=_SOURCE))
        connection.execute(delete(dag_cursor).where(dag_cursor.c.dag_id == run.dag_id))
        connection.execute(insert(dag_cursor).values(dag_id=run.dag_id, next_run_at=run.data_interval_end))


def _fill_administration(context: WebContext) -> None:
    database = context.database
    add_key(context.settings.home / "fernet.key")
    cipher = cipher_of(context.settings)
    fields = {"conn_id": "warehouse", "kind": "postgres", "host": "db", "login": "me", "password": "hidden"}
    ConnectionStore(database, cipher).put(fields, is_new=True)
    VariableStore(database, cipher).put("bucket", "s3://prices", "where files are")
    PoolStore(database).put("heavy", 4, "for big tasks")
    now = context.clock()
    until = now + dt.timedelta(days=30)
    ApiTokenStore(database).add("secret", "viewer", name="nightly", role=Role.VIEWER, time=now, expires_at=until)
    set_import_errors(database, {"/dags/old.py": 'File "/dags/old.py", line 3\nModuleNotFoundError: no module'})
    start_job(database, MASTER_JOB)
