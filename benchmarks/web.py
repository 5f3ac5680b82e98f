"""Pages of the web server over a large service: time of the server, time in a browser, and bytes.

    python -m benchmarks.web [--rounds 5] [--dags 1000] [--no-browser]

The database has 1,000 DAGs with 50 runs of 22 tasks each, and a DAG with 2,000 tasks and 45 runs: 1.19 million task
instances. A flow run has 100,000 chunks and a bad entry, and a log has 1 GB. They are made once, in the folder of the
cache. A process of its own serves them from SQLite. Each answer is checked. The exit code is 1 if one is wrong; a bar
that is missed does not change it, because seconds depend on the load of the machine.
"""

import argparse
import datetime as dt
import gzip
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

import elastic
from benchmarks.machine import load, machine
from elastic.config.settings import read_settings
from elastic.core.errors import ElasticError
from elastic.dag import DAG
from elastic.dag.ids import TaskKey
from elastic.dag.serialized_dag import to_dict
from elastic.db.records import RunType
from elastic.db.schema import dag_run
from elastic.db.stores.dags import DagRow, FoundDag, store_dags
from elastic.db.stores.users import Role, UserStore
from elastic.operators import EmptyOperator
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.log_location import log_path_at
from elastic.web.security.passwords import hash_password

RUNS, TASKS, WIDE_TASKS, WIDE_RUNS, CHUNKS = 50, 22, 2_000, 45, 100_000
LOG_BYTES = 1 << 30
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

#: Requests of each page by HTTP.
_REQUESTS = 30
#: Changes of the database a second while tabs are open.
_CHANGES = 50
_TABS, _TAB_SECONDS = 200, 20


@dataclass(frozen=True, slots=True)
class World:
    """Names of what the database has, and the password of its user."""

    flow_run: str
    password: str


@dataclass(slots=True)
class Figures:
    """Rows of the table, and wrong answers."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, value: float, bar: float, unit: str) -> None:
        """Add a figure with the value that it must not exceed."""
        holds = "yes" if value <= bar else "**no**"
        self.rows.append((what, f"{value:,.1f} {unit}", f"{bar:,.0f} {unit}", holds))
        print(f"{what}: {value:,.1f} {unit}, bar {bar:,.0f}: {holds}", file=sys.stderr, flush=True)

    def check(self, is_right: bool, what: str) -> None:
        """Add a wrong answer."""
        if not is_right:
            self.wrong.append(what)

    def __str__(self) -> str:
        head = ["| figure | measured | bar | holds |", "| --- | ---: | ---: | --- |"]
        return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in self.rows)])


def world_in(home: Path, dags: int) -> World:
    """Return what a home has, and make it if it is not complete."""
    made = home / f"made-{dags}.json"
    os.environ["ELASTIC_HOME"] = str(home)
    if not made.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        world = _make(dags)
        made.write_text(json.dumps([world.flow_run, world.password]))
    # An older checkout may have made it.
    subprocess.run([sys.executable, "-m", "elastic", "db", "migrate"], check=True, stdout=subprocess.DEVNULL)
    return World(*json.loads(made.read_text()))


def _make(dags: int) -> World:
    deployment = Deployment.of(read_settings())
    _store_runs(deployment, "wide", WIDE_TASKS, WIDE_RUNS)
    for number in range(dags):
        _store_runs(deployment, f"dag_{number:04}", TASKS, RUNS)
    _store_instances(deployment)
    _write_log(deployment)
    password = secrets.token_urlsafe(16)
    UserStore(deployment.database).create("ada", Role.ADMIN, hash_password(password))
    numbers = elastic.from_range(CHUNKS, chunk_size=1).map(_reciprocal).aggregate("count")
    result = numbers.run(cluster="inline", on_error="dead-letter", name="numbers")
    return World(result.run_id, password)


def _reciprocal(number: int) -> float:
    return 1 / (number - 50_000)


def _store_runs(deployment: Deployment, dag_id: str, tasks: int, runs: int) -> None:
    with DAG(dag_id, schedule="@daily", start_date=START) as dag:
        for number in range(tasks):
            EmptyOperator(task_id=f"task_{number:04}")
    structure = json.dumps(to_dict(dag), sort_keys=True)
    values: dict[str, Any] = {"fileloc": f"/dags/{dag_id}.py", "owner": "ada", "schedule": "@daily"}
    digest = secrets.token_hex(32)
    row = DagRow(dag_id=dag_id, task_count=tasks, source_digest="0" * 64, structure_digest=digest, **values)
    store_dags(deployment.database, [FoundDag(row, source="print()\n", structure=structure)])
    found = []
    for number in range(runs):
        date = START + dt.timedelta(days=number)
        end = date + dt.timedelta(days=1)
        is_last = number == runs - 1
        found.append(
            {
                "dag_id": dag_id, "run_id": f"scheduled_{date:%Y%m%dT%H%M%S}", "logical_date": date,
                "data_interval_start": date, "data_interval_end": end, "run_type": RunType.SCHEDULED,
                "state": "failed" if is_last else "success", "conf": "{}", "attempt": 1, "version": 1,
                "structure_digest": digest, "is_served": True, "created_at": end, "started_at": end,
                "ended_at": end + dt.timedelta(seconds=60 + number),
            }
        )  # fmt: skip
    with deployment.database.begin() as connection:
        connection.execute(insert(dag_run), found)


def _store_instances(deployment: Deployment) -> None:
    """Insert an instance of each task for each run by one statement, of which those of the last run's first failed."""
    with deployment.database.begin() as connection:
        connection.execute(text("CREATE TEMP TABLE numbers (number INTEGER)"))
        connection.execute(text("INSERT INTO numbers VALUES (:n)"), [{"n": number} for number in range(WIDE_TASKS)])
        connection.execute(
            text(
                "INSERT INTO task_instance (dag_id, run_id, task_id, map_index, state, try_number, max_tries, version,"
                " started_at, ended_at, duration, operator, pool, pool_slots, priority, queue, host, pid)"
                " SELECT r.dag_id, r.run_id, printf('task_%04d', n.number), -1,"
                " CASE WHEN r.state = 'failed' AND n.number = 0 THEN 'failed' ELSE 'success' END,"
                " 1, 1, 2, r.started_at, r.ended_at, 60.0, 'EmptyOperator', 'default', 1, 1, 'default', 'node-1', 1"
                " FROM dag_run r JOIN dag d ON d.dag_id = r.dag_id JOIN numbers n ON n.number < d.task_count"
                " ORDER BY 1, 2, 3"
            )
        )
        connection.execute(text("ANALYZE"))


def _write_log(deployment: Deployment) -> None:
    date = START + dt.timedelta(days=RUNS - 1)
    key = TaskKey("dag_0000", f"scheduled_{date:%Y%m%dT%H%M%S}", "task_0000")
    path = log_path_at(deployment.logs, key, date, dt.UTC)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"[2026-01-01 00:00:{at % 60:02},000] {{etl.py:{at}}} INFO - line {at}\n" for at in range(20_000))
    block = lines.encode()
    with path.open("wb") as file:
        for _ in range(LOG_BYTES // len(block) + 1):
            file.write(block)
        file.write(b"[2026-01-01 00:01:00,000] {etl.py:1} INFO - the very last line\n")


class Client:
    """Client that is logged in, and measures each request."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        form = urllib.parse.urlencode({"username": "ada", "password": password})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
        connection = self._connection()
        connection.request("POST", "/login", form, headers)
        answer = connection.getresponse()
        self.cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        if answer.status != 303 or not self.cookie:
            raise SystemExit(f"the login failed with {answer.status}: {answer.read().decode()[:500]}")

    def get(self, path: str) -> tuple[float, bytes, bytes]:
        """Return the milliseconds, the body, and the body as it was sent."""
        connection = self._connection()
        connection.connect()
        began = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": self.cookie, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        sent = answer.read()
        taken = (time.perf_counter() - began) * 1000
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}")
        return taken, gzip.decompress(sent) if answer.getheader("Content-Encoding") == "gzip" else sent, sent

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)


@contextmanager
def served() -> Iterator[tuple[int, int]]:
    """Serve the home by a process of its own; yield its port and the id of the process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "elastic", "webserver", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=60):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the web server did not start") from None
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


#: A page: name, address, check of its body, selector of what a user waits for, and its bar in the browser (ms).
Page = tuple[str, str, Callable[[bytes], bool], str, float]


def pages_of(world: World, dags: int) -> list[Page]:
    date = START + dt.timedelta(days=RUNS - 1)
    wide = START + dt.timedelta(days=WIDE_RUNS - 1)
    run = f"/dags/dag_0000/runs/scheduled_{date:%Y%m%dT%H%M%S}"
    step = f"/flows/{world.flow_run}/0"
    return [
        ("home", "/", lambda body: body.count(b'id="dag-dag_') == min(dags, 50), "#dag-list", 1000),
        ("DAG", "/dags/dag_0000", lambda body: b'id="grid"' in body, "#grid[data-ready]", 1000),
        ("run", run, lambda body: body.count(b'<tr id="row-') == TASKS, "#run-tasks", 1000),
        ("task", f"{run}/tasks/task_0000?tab=why", lambda body: b"task_0000" in body, "#task-head", 1000),
        ("last lines of a log of 1 GB", f"{run}/tasks/task_0000?tab=log", _has_end, "#log[data-ready]", 1000),
        ("grid of 45 x 2,000", "/dags/wide", lambda body: b'id="grid"' in body, "#grid[data-ready]", 1000),
        ("run of 2,000 tasks", f"/dags/wide/runs/scheduled_{wide:%Y%m%dT%H%M%S}", _has_rows, "#run-tasks", 1000),
        ("100,000 chunks", step, lambda body: b"100,000" in body, f"#chunks[data-drawn='{CHUNKS}']", 1000),
    ]


def _has_end(body: bytes) -> bool:
    return b"the very last line" in body


def _has_rows(body: bytes) -> bool:
    return b'<tr id="row-task_0000' in body


def measure_http(client: Client, pages: list[Page], figures: Figures, pid: int) -> None:
    """Measure the time of the server, and the size of what it sends."""
    before = resident(pid)
    for name, address, is_right, _, _ in pages:
        first, body, sent = client.get(address)
        figures.check(is_right(body), f"{name}: {address}")
        used = cpu_seconds(pid)
        times = sorted(client.get(address)[0] for _ in range(_REQUESTS))
        used = (cpu_seconds(pid) - used) / _REQUESTS * 1000
        print(f"{name}: first {first:.0f} ms, CPU {used:.0f} ms", file=sys.stderr)
        p50, p95 = statistics.median(times), times[int(len(times) * 0.95)]
        figures.rows.append((f"{name}: server, CPU time", f"{used:,.1f} ms", "", ""))
        figures.rows.append((f"{name}: server, median", f"{p50:,.1f} ms", "", ""))
        figures.add(f"{name}: server, p95", p95, 300 if "log" in name else 100, "ms")
        figures.add(f"{name}: HTML as sent", len(sent) / 1024, 60, "KiB")
    figures.add("memory of the server after all pages: growth", resident(pid) - before, 64, "MiB")


def measure_data(client: Client, world: World, figures: Figures) -> None:
    """Check the states of the grid and of the chunks, and measure what scripts and styles weigh."""
    _, body, _ = client.get(f"/flows/{world.flow_run}/0/cells")
    (length,) = struct.unpack_from("<I", body)
    figures.check(len(body) - 4 - length == CHUNKS, f"{len(body) - 4 - length} cells")
    figures.check(body[4 + length + 50_000] == 7, "chunk 50,000 is not bad")
    times = sorted(client.get("/dags/wide/grid?runs=45")[0] for _ in range(_REQUESTS))
    figures.add("states of the grid of 45 x 2,000: server, p95", times[int(len(times) * 0.95)], 100, "ms")
    folder = Path(elastic.__file__).parent / "web" / "static"
    for name, ending, bar in (("scripts", "*.js", 30), ("style", "*.css", 12)):
        size = sum(len(gzip.compress(path.read_bytes(), 5)) for path in folder.glob(ending))
        figures.add(f"all {name}, compressed", size / 1024, bar, "KiB")


def measure_browser(port: int, world: World, pages: list[Page], rounds: int, figures: Figures) -> None:
    """Measure the time until a page in Chromium shows what a user waits for."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        print("chromium is not installed; its figures are left out", file=sys.stderr)
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(base_url=f"http://127.0.0.1:{port}", viewport={"width": 1400, "height": 900})
        page.goto("/login")
        page.fill("input[name=username]", "ada")
        page.fill("input[name=password]", world.password)
        page.click("button:has-text('Log in')")
        for name, address, _, selector, bar in pages:
            times, paints = [], []
            for _ in range(rounds):
                began = time.perf_counter()
                page.goto(address, wait_until="domcontentloaded")
                page.wait_for_selector(selector, state="attached", timeout=60_000)
                times.append((time.perf_counter() - began) * 1000)
                paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
                paints.append(page.evaluate(paint))
            figures.add(f"{name}: shown in the browser", statistics.median(times), bar, "ms")
            figures.add(f"{name}: first paint", statistics.median(paints), 500, "ms")
        browser.close()


def measure_tabs(client: Client, pid: int, figures: Figures) -> None:
    """Measure the CPU time and the memory of the server with many open streams, while rows of the log appear."""
    before = resident(pid)
    tabs = []
    for _ in range(_TABS):
        tab = socket.create_connection(("127.0.0.1", client.port))
        host = f"127.0.0.1:{client.port}"
        asked = f"GET /events?topics=dags HTTP/1.1\r\nHost: {host}\r\nCookie: {client.cookie}\r\n\r\n"
        tab.sendall(asked.encode())
        tab.settimeout(60)
        figures.check(b" 200 " in tab.recv(4096).partition(b"\r\n")[0], "a stream was refused")
        tabs.append(tab)
    time.sleep(3)
    began, used = time.perf_counter(), cpu_seconds(pid)
    database = Deployment.of(read_settings()).database
    statement = text(
        "INSERT INTO log (at, event, dag_id, run_id)"
        " SELECT started_at, 'success', dag_id, run_id FROM dag_run WHERE dag_id = 'dag_0000' LIMIT 1"
    )
    while time.perf_counter() - began < _TAB_SECONDS:
        for _ in range(_CHANGES):
            with database.begin() as connection:
                connection.execute(statement)
        time.sleep(max(0.0, 1 - (time.perf_counter() - began) % 1))
    share = (cpu_seconds(pid) - used) / (time.perf_counter() - began)
    figures.add(f"{_TABS} open tabs: share of a core", share * 100, 5, "%")
    figures.add(f"{_TABS} open tabs: memory", resident(pid) - before, 20, "MiB")
    heard = 0
    for tab in tabs:
        heard += b"dags" in tab.recv(1 << 20)
        tab.close()
    figures.check(heard == _TABS, f"{heard} of {_TABS} tabs heard of a change")


def main() -> int:
    """Measure all pages and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dags", type=int, default=1_000)
    parser.add_argument("--no-browser", action="store_true")
    caches = Path(os.environ.get("ELASTIC_BENCHMARK_CACHE") or Path("~/.cache/elastic-benchmarks").expanduser())
    parser.add_argument("--cache", type=Path, default=caches)
    given = parser.parse_args()
    began = time.perf_counter()
    try:
        world = world_in(given.cache.absolute() / "web", given.dags)
    except ElasticError as error:
        raise SystemExit(str(error)) from error
    print(f"database: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    figures, pages = Figures(), pages_of(world, given.dags)
    with served() as (port, pid):
        client = Client(port, world.password)
        measure_http(client, pages, figures, pid)
        measure_data(client, world, figures)
        if not given.no_browser:
            measure_browser(port, world, pages, given.rounds, figures)
        measure_tabs(client, pid, figures)
    print(f"{machine()}; load {load()[0]:.1f}\n\n{figures}")
    for one in figures.wrong:
        print(f"WRONG: {one}", file=sys.stderr)
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
