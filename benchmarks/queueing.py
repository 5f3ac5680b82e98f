"""Queueing of task instances: attempts that several processes queue and claim in one database.

    python benchmarks/queueing.py [--processes 2] [--batches 20] [--size 50] [--url URL] [--json]

Each process queues and claims its own instances of one DAG, in batches, as a master does each turn. The default pool
has room for all, and no DAG has a limit. The result is checked: each instance runs under its first attempt.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.migration.upgrade import migrate
from elastic.db.records import Claim, DagRun, QueueRequest, TaskInstanceRow
from elastic.db.stores.pools import PoolStore
from elastic.scheduler.supervisor.state_changes import StateChanges, apply

DATE = datetime(2016, 2, 22, tzinfo=UTC)
DAG_ID = "queueing"


def run_of(number: int) -> DagRun:
    date = DATE + timedelta(days=number)
    return DagRun(
        dag_id=DAG_ID,
        run_id=f"run_{number}",
        logical_date=date,
        data_interval_start=date,
        data_interval_end=date + timedelta(days=1),
    )


def keys_of(number: int, batch: int, size: int) -> list[TaskKey]:
    return [TaskKey(DAG_ID, f"run_{number}", f"t{batch}_{one}") for one in range(size)]


def fill(database: Database, processes: int, batches: int, size: int) -> None:
    PoolStore(database).put("default", -1)
    for number in range(processes):
        run = transitions.ensure_run(database, run_of(number))
        rows = [
            TaskInstanceRow(dag_id=run.dag_id, run_id=run.run_id, task_id=key.task_id)
            for batch in range(batches)
            for key in keys_of(number, batch, size)
        ]
        transitions.ensure_instances(database, rows)


def work(url: str, number: int, batches: int, size: int, start: Any, results: Any) -> None:
    """Queue and claim all instances of one run."""
    database, owner, waits = Database(url), f"boot/{number}/1/x", []
    start.wait()
    began, cpu = time.monotonic(), time.process_time()
    for batch in range(batches):
        named = {key: uuid.uuid4().hex for key in keys_of(number, batch, size)}
        requests = [
            QueueRequest(key=key, attempt_uuid=one, lease_owner=owner, lease=300.0) for key, one in named.items()
        ]
        claims = [
            Claim(key=key, attempt_uuid=one, host="here", pid=1, lease_owner=owner, lease=300.0)
            for key, one in named.items()
        ]
        before = time.monotonic()
        if len(apply(database, StateChanges(queue_requests=requests, claims=claims))) != size:
            raise SystemExit(f"process {number}: a batch was not queued")
        waits.append(time.monotonic() - before)
    results.put((time.monotonic() - began, time.process_time() - cpu, max(waits)))


def measure(url: str, processes: int, batches: int, size: int) -> dict[str, float | str]:
    database = Database(url)
    migrate(database)
    fill(database, processes, batches, size)
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=work, args=(url, number, batches, size, start, results)) for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process failed")
    found = [results.get(timeout=10) for _ in workers]
    check(database, [f"run_{number}" for number in range(processes)], processes * batches * size)
    seconds = max(one[0] for one in found)
    count = processes * batches * size
    return {
        "database": database.url.partition(":")[0],
        "processes": processes,
        "attempts_per_second": round(count / seconds, 1),
        "cpu_ms_per_attempt": round(1000 * sum(one[1] for one in found) / count, 3),
        "longest_transaction_seconds": round(max(one[2] for one in found), 3),
        "load": round(os.getloadavg()[0], 1),
    }


def check(database: Database, run_ids: Sequence[str], count: int) -> None:
    rows = queries.instances(database, DAG_ID, run_ids)
    if len(rows) != count or any(row.state is not TaskState.RUNNING or row.try_number != 1 for row in rows):
        raise SystemExit("an instance does not run under its first attempt")
    for row in rows[:: max(1, count // 50)]:
        if [one.attempt_uuid for one in queries.attempts(database, row.key)] != [row.attempt_uuid]:
            raise SystemExit(f"{row.key} has another number of attempts than 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--size", type=int, default=50)
    parser.add_argument("--url", default="", help="an empty database; default: a new SQLite file")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/elastic.db"
        found = measure(url, given.processes, given.batches, given.size)
    print(json.dumps(found) if given.json else "\n".join(f"{name:28} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
