"""Tools of triggers: the time, connections, and the stored runs of DAGs."""

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import func, select

from elastic.db import queries
from elastic.db.database import Database
from elastic.db.matching import same
from elastic.db.records import DagRun
from elastic.db.schema import dag, dag_run, task_instance
from elastic.db.stores.dags import structure_of
from elastic.hooks.connection import Connection
from elastic.hooks.connection_lookup import connection
from elastic.triggers.trigger import FoundRun

T = TypeVar("T")

#: Seconds for which a client is kept, so that a changed connection takes effect.
_CLIENT_SECONDS = 60.0

#: Clients that are kept.
_MAX_CLIENTS = 64


class StoredRuns:
    """The stored runs of DAGs.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def problem_of(self, dag_id: str, task_ids: Sequence[str]) -> str:
        """Return why no run of a DAG can have some tasks; empty if one can, or if no DAG file was parsed yet."""
        query = select(dag.c.structure_digest).where(same(dag.c.dag_id, dag_id))
        count = select(func.count()).select_from(dag)
        row, known = self._database.query(
            lambda connection: (connection.execute(query).one_or_none(), connection.execute(count).scalar_one())
        )
        if row is None:
            if not known or queries.latest_run(self._database, dag_id) is not None:
                return ""
            return f"there is no DAG {dag_id!r}; check the id, `elastic dags list` lists them."
        text = structure_of(self._database, row.structure_digest) if row.structure_digest else None
        if text is None:
            return ""
        there = {task["task_id"] for task in json.loads(text).get("tasks", ())}
        missing = next((one for one in task_ids if one not in there), None)
        if missing is None:
            return ""
        return f"DAG {dag_id!r} has no task {missing!r}; check the id, `elastic tasks list {dag_id}` lists them."

    def run_at(self, dag_id: str, logical_date: dt.datetime) -> FoundRun | None:
        """Return the run of a DAG for a logical date, or None."""
        return _found(queries.run_at(self._database, dag_id, logical_date))

    def run_of_id(self, dag_id: str, run_id: str) -> FoundRun | None:
        """Return a run by its id, or None."""
        return _found(queries.run_of_id(self._database, dag_id, run_id))

    def start(self, dag_id: str, run_id: str, logical_date: dt.datetime | None, conf: Mapping[str, Any]) -> FoundRun:
        """Queue a run of a stored DAG; None is the present time."""
        from elastic.scheduler.commands.trigger_stored import trigger_stored

        run = trigger_stored(self._database, dag_id, logical_date, run_id, conf)
        return FoundRun(run.run_id, run.logical_date, str(run.state))

    def nearest_runs(self, dag_id: str, logical_date: dt.datetime) -> list[FoundRun]:
        """Return the run before a date and the run after it, as far as there are such runs."""
        later = select(dag_run.c.run_id).where(same(dag_run.c.dag_id, dag_id), dag_run.c.logical_date > logical_date)
        later = later.order_by(dag_run.c.logical_date).limit(1)
        run_id = self._database.query(lambda connection: connection.execute(later).scalar())
        before = _found(queries.run_before(self._database, dag_id, logical_date))
        after = None if run_id is None else self.run_of_id(dag_id, run_id)
        return [one for one in (before, after) if one is not None]

    def task_states(self, dag_id: str, run_id: str, task_id: str) -> list[str | None]:
        """Return the states of the instances of a task in a run."""
        ti = task_instance.c
        query = select(ti.state).where(same(ti.dag_id, dag_id), same(ti.run_id, run_id), same(ti.task_id, task_id))
        return list(self._database.query(lambda connection: connection.execute(query).scalars().all()))


class Tools:
    """Access of triggers to other systems. It is safe in several threads.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._runs = StoredRuns(database)
        self._lock = threading.Lock()
        #: clients by connection and class, with the time at which they were made
        self._clients: dict[tuple[str, Any], tuple[float, Any]] = {}

    @property
    def runs(self) -> StoredRuns:
        """The stored runs of DAGs."""
        return self._runs

    def now(self) -> dt.datetime:
        """Return the time, in UTC."""
        return dt.datetime.now(dt.UTC)

    def connection(self, conn_id: str) -> Connection:
        """Return a connection by its id."""
        return connection(conn_id)

    def client(self, conn_id: str, make: Callable[[Connection], T]) -> T:
        """Return a client of a connection that is safe in several threads, and is kept for later checks."""
        now = time.monotonic()
        with self._lock:
            made_at, client = self._clients.get((conn_id, make), (0.0, None))
            if client is None or now - made_at > _CLIENT_SECONDS:
                client = make(connection(conn_id))
                self._clients.pop((conn_id, make), None)
                self._clients[conn_id, make] = (now, client)
                while len(self._clients) > _MAX_CLIENTS:
                    del self._clients[next(iter(self._clients))]
        found: T = client
        return found


def _found(run: DagRun | None) -> FoundRun | None:
    return None if run is None else FoundRun(run.run_id, run.logical_date, str(run.state))
