"""API: every operation answers generated requests as its description says, and never with an internal error."""

import datetime as dt
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings

from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.stores.api_tokens import ApiTokenStore
from elastic.db.stores.users import Role, UserStore
from elastic.web.api.description import describe
from elastic.web.app import create_app
from elastic.web.context import WebContext
from elastic.web.security.request_rates import RequestRates
from elastic.web.security.tokens import new_token
from tests.web.web_client import HASH
from tests.web.web_samples import store_dag, store_run

with warnings.catch_warnings():
    # Its imports use names that jsonschema no longer wants.
    warnings.simplefilter("ignore", DeprecationWarning)
    import schemathesis
    from schemathesis.checks import CHECKS, load_all_checks

#: Generated requests of each operation.
_EXAMPLES = 3
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.fixture
def described_app(web_context: WebContext, flow_run: Path) -> FastAPI:
    """App with a DAG, a run and a run of a flow, for clients of the host `testserver`."""
    app = create_app(replace(web_context, hosts=web_context.hosts | {"testserver"}))
    app.state.rates = RequestRates(rate=1e9, burst=1e9)
    store_dag(web_context.database, "0")
    store_run(web_context.database, "0", run_id="0", tasks=[("0", TaskState.SUCCESS)])
    return app


def bearer(database: Database) -> dict[str, str]:
    """Return the header of a new token of an admin, because a request may have deleted the last one."""
    if UserStore(database).find("program") is None:
        UserStore(database).create("program", Role.ADMIN, HASH)
    secret, time = new_token(), dt.datetime.now(dt.UTC)
    ends = time + dt.timedelta(hours=1)
    ApiTokenStore(database).add(secret, "program", name="x", role=Role.ADMIN, time=time, expires_at=ends)
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_operation_answers_as_described(described_app: FastAPI, web_database: Database) -> None:
    load_all_checks()
    checks = [CHECKS.get_one(name) for name in _CHECKS]
    url = "/api/v1/openapi.json"
    schema = schemathesis.openapi.from_asgi(url, described_app, headers=bearer(web_database))
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            case.call_and_validate(headers=bearer(web_database), checks=checks)

        check()
        tried.add((operation.path, operation.method.lower()))
    paths = describe(described_app.router.routes)["paths"]
    named = {(path, method) for path, operations in paths.items() for method in operations}
    # The loader leaves out the address from which it read the description.
    assert named - tried <= {(url, "get")}
