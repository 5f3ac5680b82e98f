"""Pages of a stored run with bad entries, for tests of them."""

import json
import struct
from collections.abc import Callable
from typing import Any

from sqlalchemy import insert

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.schema import task_attempt
from tests.run_views.stored_run_samples import RUN
from tests.web.web_client import WebClient
from tests.web.web_samples import NOW, store_dag, store_run

Web = Callable[[str | None], WebClient]

#: Addresses of all pages of a run with a bad entry.
ADDRESSES = (
    "/flows",
    f"/flows/{RUN}/0",
    f"/flows/{RUN}/0/cells",
    f"/flows/{RUN}/0/chunks/1",
    f"/flows/{RUN}/0/letters",
    f"/flows/{RUN}/0/letters/1-0",
    f"/flows/{RUN}/0/proof",
)
PAGES = tuple(address for address in ADDRESSES if not address.endswith("cells"))


def text_of(web: Web, url: str, status: int = 200, role: str = "viewer") -> str:
    answer = web(role).get(url)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def cells_in(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack_from("<I", data)
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def store_attempt(database: Database, flow_run_id: str, *, host: str) -> TaskKey:
    """Store an attempt of a task instance that ran a flow."""
    store_dag(database)
    run = store_run(database, tasks=[("first", TaskState.SUCCESS)])
    key = TaskKey("etl", run.run_id, "first")
    values = {"dag_id": "etl", "run_id": run.run_id, "task_id": "first", "map_index": -1, "run_attempt": 1}
    with database.begin() as connection:
        connection.execute(
            insert(task_attempt).values(
                **values,
                attempt_uuid="0" * 32,
                try_number=1,
                state="success",
                queued_at=NOW,
                host=host,
                flow_run_id=flow_run_id,
            )
        )
    return key
