"""Waiting tasks: what a triggerer costs, how late it is, and what its death loses.

    python -m benchmarks.waiting [scenario ...] [--quick] [--json FILE]

Each scenario fills an empty SQLite database with deferred tasks and starts `elastic triggerer` as a process of its own.
Every answer is checked. The exit code is 1 if a wait is lost or ends wrongly; a bar that is missed does not change it,
because seconds depend on the load of the machine.
"""

import argparse
import datetime as dt
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from benchmarks.figures import Cost, percentile, print_figures
from benchmarks.machine import machine
from elastic.dag.execution.wait import WaitProgress, WaitRequest, WaitSettings
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.records import AttemptResult
from elastic.db.schema import dag_run, job, task_attempt, task_instance, task_trigger
from elastic.db.sql_clock import now
from elastic.db.stores.jobs import TRIGGERER_JOB
from elastic.db.transitions.waits import suspend_in

#: Seconds after the start of the killed triggerers until the first wait is due, and between looks for an event.
_WARM_UP, _POLL_SECONDS = 5.0, 0.05

#: Bars: share of a core, MiB, file descriptors, seconds of lateness (p99).
BARS = {"cpu": 0.10, "memory": 80.0, "files": 100, "late_p99": 2.0, "late_p99_beside_dead": 3.0, "first_answer": 1.0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Wait to store."""

    kind: str
    arguments: Mapping[str, Any]
    connection: str | None = None
    interval: float = 30.0
    timeout: float = 3600.0
    check_in: float = 0.0
    silent_errors: int = 1_000_000


def store(database: Database, waits: Sequence[Wanted], name: str = "wait") -> None:
    """Store deferred task instances of a new run, as processes of their attempts leave them."""
    run_id = f"run of {name}"
    at = dt.datetime.now(dt.UTC)

    def work(connection: Any, _: bool) -> None:
        connection.execute(
            insert(dag_run).values(
                dag_id="waits", run_id=run_id, logical_date=at, data_interval_start=at, data_interval_end=at,
                run_type="manual", state="running", conf="{}", attempt=1, version=1, is_served=False, created_at=now(),
            )
        )  # fmt: skip
        ids = [f"{name}{number}" for number in range(len(waits))]
        of_all = {"dag_id": "waits", "run_id": run_id, "map_index": -1, "try_number": 1, "state": TaskState.RUNNING}
        of_instance = {**of_all, "max_tries": 1, "version": 1, "pool": "default", "pool_slots": 1, "priority": 1}
        rows = [{**of_instance, "queue": "default", "task_id": one, "attempt_uuid": one} for one in ids]
        connection.execute(insert(task_instance).values(started_at=now(), queued_at=now()), rows)
        attempts = [{**of_all, "run_attempt": 1, "task_id": one, "attempt_uuid": one} for one in ids]
        connection.execute(insert(task_attempt).values(started_at=now(), queued_at=now()), attempts)
        began = connection.execute(select(now())).scalar_one()
        for uuid, one in zip(ids, waits, strict=True):
            settings = WaitSettings(interval=one.interval, timeout=one.timeout, silent_errors=one.silent_errors)
            request = WaitRequest(
                settings=settings,
                progress=WaitProgress(checks=1),
                kind=one.kind,
                arguments=one.arguments,
                connection=one.connection,
                check_in=one.check_in,
            )
            result = AttemptResult(attempt_uuid=uuid, state=TaskState.DEFERRED, wait=request)
            key = TaskKey("waits", run_id, uuid)
            assert suspend_in(connection, key, result, request, began, is_new=True)

    database.write(work)


@contextmanager
def triggerer(environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a triggerer while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "elastic", "triggerer"], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Stub:
    """Web server that notes when it was asked for each path, and a port that accepts and never answers."""

    def __init__(self) -> None:
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.is_done = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked[self.path].append(time.monotonic())
                self.send_response(200 if outer.is_done else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Print nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.dead = socket.socket()
        self.dead.bind(("127.0.0.1", 0))
        self.dead.listen(1024)

    @property
    def connections(self) -> dict[str, str]:
        """Environment variables with the connections `alive` and `dead`."""
        return {
            "ELASTIC_CONN_ALIVE": f"http://127.0.0.1:{self.server.server_port}",
            "ELASTIC_CONN_DEAD": f"http://127.0.0.1:{self.dead.getsockname()[1]}",
        }


def late(database: Database, due: Mapping[str, dt.datetime]) -> list[float]:
    """Return by how many seconds each wait ended after it was due, sorted."""
    query = select(task_instance.c.task_id, task_instance.c.ended_at, task_instance.c.state)
    rows = [row for row in database.query(lambda found: found.execute(query).all()) if row.task_id in due]
    wrong = [row.task_id for row in rows if row.state != TaskState.SUCCESS]
    if wrong:
        raise AssertionError(f"{len(wrong)} waits did not succeed, such as {wrong[0]}")
    return sorted((row.ended_at - due[row.task_id]).total_seconds() for row in rows)


def until(what: str, condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until a condition is met."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen in {seconds:g} s")
        time.sleep(_POLL_SECONDS)


def ended(database: Database, before: dt.datetime | None = None) -> bool:
    """Return whether no wait is left; with a time, none that was due before."""
    query = select(task_trigger.c.attempt_uuid).limit(1)
    if before is not None:
        query = query.where(task_trigger.c.next_check_at <= before)
    return database.query(lambda connection: connection.execute(query).first()) is None


def has_triggerer(database: Database) -> bool:
    """Return whether a triggerer has told that it is alive."""
    query = select(job.c.id).where(job.c.kind == TRIGGERER_JOB).limit(1)
    return database.query(lambda connection: connection.execute(query).first()) is not None


def times(database: Database, environment: Mapping[str, str], count: int, seconds: float) -> dict[str, Any]:
    """Wait for instants of ten minutes, and measure how late those are that come meanwhile."""
    rng, start = random.Random(1), dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20 + count / 60)
    due = {f"wait{at}": start + dt.timedelta(seconds=rng.uniform(0, 600)) for at in range(count)}
    store(database, [Wanted("time", {"connection": None, "at": at.isoformat()}) for at in due.values()])
    with triggerer(environment) as process:
        until("the first instant", lambda: dt.datetime.now(dt.UTC) > start, 600)
        until("the end of the first waits", lambda: ended(database, start))
        before = Cost.of(process.pid)
        time.sleep(seconds)
        cost = Cost.of(process.pid).since(before)
        end = dt.datetime.now(dt.UTC)
        until("the end of the last waits", lambda: ended(database, end))
    values = late(database, {name: at for name, at in due.items() if at <= end})
    return {**cost, "ended": len(values), "late_p50": percentile(values, 0.5), "late_p99": percentile(values, 0.99)}


def equal(database: Database, environment: Mapping[str, str], count: int, seconds: float) -> dict[str, Any]:
    """Wait for 100 answers of a web server, each with the same number of tasks."""
    stub, distinct = Stub(), 100
    waits = [
        Wanted("http", {"connection": "alive", "path": f"p{at % distinct}"}, "alive", check_in=(at % distinct) * 0.3)
        for at in range(count)
    ]
    store(database, waits)
    with triggerer({**environment, **stub.connections}) as process:
        until("a second round", lambda: len(stub.asked) == distinct and min(map(len, stub.asked.values())) > 1)
        before, requests = Cost.of(process.pid), sum(map(len, stub.asked.values()))
        began = time.monotonic()
        time.sleep(seconds)
        cost = Cost.of(process.pid).since(before)
        asked = sum(map(len, stub.asked.values())) - requests
        rounds = (time.monotonic() - began) / 30.0
        stub.is_done = True
        until("the end of all waits", lambda: ended(database))
    late(database, {f"wait{at}": dt.datetime.now(dt.UTC) for at in range(count)})
    return {**cost, "requests": asked, "requests_per_question_and_round": round(asked / distinct / rounds, 3)}


def dead(database: Database, environment: Mapping[str, str], count: int, seconds: float) -> dict[str, Any]:
    """Wait for a web server beside a tenth of waits for one that accepts and never answers."""
    stub, interval = Stub(), 30.0
    waits = [
        Wanted("http", {"connection": name, "path": f"p{at}"}, name, interval, check_in=interval * at / count)
        for at in range(count)
        for name in ["dead" if at % 10 == 0 else "alive"]
    ]
    store(database, waits)
    with triggerer({**environment, **stub.connections}) as process:
        until("a first check of each healthy wait", lambda: len(stub.asked) == count - count // 10)
        before = Cost.of(process.pid)
        time.sleep(interval + seconds)
        cost = Cost.of(process.pid).since(before)
    gaps = sorted(
        later - earlier - interval for asked in list(stub.asked.values()) for earlier, later in pairwise(asked)
    )
    if not gaps:
        raise AssertionError("no healthy question was asked twice")
    return {**cost, "late_p50": percentile(gaps, 0.5), "late_p99": percentile(gaps, 0.99), "checks": len(gaps)}


def killed(database: Database, environment: Mapping[str, str], count: int, seconds: float) -> dict[str, Any]:
    """Kill the triggerer with SIGKILL again and again; no wait is lost, no deadline moves."""
    environment = {**environment, "ELASTIC_SCHEDULER__LEASE": "3", "ELASTIC_SCHEDULER__HEARTBEAT": "1"}
    rng, start = random.Random(2), dt.datetime.now(dt.UTC) + dt.timedelta(seconds=_WARM_UP)
    due = {f"wait{at}": start + dt.timedelta(seconds=rng.uniform(0, seconds)) for at in range(count)}
    store(database, [Wanted("time", {"connection": None, "at": at.isoformat()}) for at in due.values()])
    query = select(task_trigger.c.attempt_uuid, task_trigger.c.started_at, task_trigger.c.deadline)
    first = {row.attempt_uuid: tuple(row) for row in database.query(lambda found: found.execute(query).all())}
    kills, end = 0, time.monotonic() + _WARM_UP + seconds
    while time.monotonic() < end:
        with triggerer(environment) as process:
            time.sleep(rng.uniform(2.0, 6.0))
            process.kill()
            kills += 1
    for row in database.query(lambda connection: connection.execute(query).all()):
        if first[row.attempt_uuid] != tuple(row):
            raise AssertionError(f"the start or the deadline of {row.attempt_uuid} moved")
    with triggerer(environment):
        until("the end of all waits", lambda: ended(database))
    values = late(database, due)
    return {"kills": kills, "waits": count, "late_max": round(values[-1], 1)}


def memory(database: Database, environment: Mapping[str, str], count: int, seconds: float) -> dict[str, Any]:
    """Compare the memory after 1,000 checks with that after many more."""
    folder = environment["ELASTIC_HOME"]
    store(database, [Wanted("file", {"connection": None, "path": f"{folder}/no/{at}"}, None, 0.1) for at in range(200)])
    query = select(task_trigger.c.checks)

    def checks() -> int:
        return sum(database.query(lambda connection: connection.execute(query).scalars().all()))

    with triggerer(environment) as process:
        until("the first checks", lambda: checks() >= 1000)
        first = Cost.of(process.pid)
        end = time.monotonic() + 20 * seconds
        while (reached := checks()) < count and time.monotonic() < end:
            time.sleep(0.5)
        last = Cost.of(process.pid)
    return {
        "checks": reached,
        "memory_first": round(first.memory, 1),
        "memory_last": round(last.memory, 1),
        "files": last.files,
        "checks_per_second": round((reached - 1000) / (last.at - first.at)),
    }


def first(database: Database, environment: Mapping[str, str], count: int, seconds: float) -> dict[str, Any]:
    """Give an idle triggerer one wait after another that is due in a second, and measure how late each ends."""
    wait = Wanted("file", {"connection": None, "path": environment["ELASTIC_HOME"]}, check_in=1.0)
    values: list[float] = []
    with triggerer(environment):
        until("the start of the triggerer", lambda: has_triggerer(database))
        for number in range(count):
            due = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=wait.check_in)
            store(database, [wait], f"wait{number}-")
            until("the end of the wait", lambda: ended(database), seconds)
            values += late(database, {f"wait{number}-0": due})
    return {"late_p50": percentile(sorted(values), 0.5), "late_max": round(max(values), 3)}


#: Scenarios by name, with the number of waits or checks: full, and quick.
SCENARIOS: dict[str, tuple[Callable[..., dict[str, Any]], int, int]] = {
    "times": (times, 5000, 500),
    "equal": (equal, 5000, 500),
    "dead": (dead, 2000, 200),
    "killed": (killed, 500, 50),
    "memory": (memory, 100_000, 3000),
    "first": (first, 20, 5),
}


def main() -> int:
    """Measure the scenarios that the command line names and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the waits, for seconds")
    parser.add_argument("--json", type=Path, help="append the figures to this file")
    given = parser.parse_args()
    print(f"{machine()}; bars: {json.dumps(BARS)}", flush=True)
    code = 0
    for name in given.scenarios or SCENARIOS:
        measure, full, quick = SCENARIOS[name]
        with tempfile.TemporaryDirectory(prefix="elastic-waiting-") as folder:
            environment = {"ELASTIC_HOME": folder}
            database = Database(f"sqlite:///{folder}/elastic.db")
            create(database)
            found: dict[str, Any]
            try:
                found = measure(database, environment, quick if given.quick else full, 10.0 if given.quick else 30.0)
            except AssertionError as error:
                found, code = {"wrong": str(error)}, 1
            finally:
                database.close()
        print_figures({"scenario": name, "waits": quick if given.quick else full}, found, given.json)
    return code


if __name__ == "__main__":
    sys.exit(main())
