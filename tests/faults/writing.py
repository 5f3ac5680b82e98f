"""Kills of real masters and workers of flows that write: to a folder, to S3 on this machine, and to PostgreSQL.

As a program, this module is the master that is killed: `python -m tests.faults.writing begin|resume|verify PLAN`, where
PLAN is a `Job` as JSON.
"""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import elastic
from elastic.core.errors import ElasticError
from elastic.testing import PostgresServer
from tests.faults.report import Layer

ROOT = Path(__file__).parents[2]

#: Entries of a flow. A record is small, so a run has many commits and files, and is over in a moment.
ENTRIES, CHUNK = 600, 10
#: The kill waits for an entry up to this one; those past the last are a wait in seconds, so that publications die too.
LAST_MOMENT, WAIT_SECONDS = 700, 0.001
QUICK = {"collect_interval": 1e-9, "commit_interval": 1e-9, "target_call_seconds": 1e-9}
TARGETS = ("folder", "postgresql", "s3")
TABLE = "words"
#: Seconds for one process.
_TIMEOUT = 180


@dataclass(frozen=True, slots=True)
class Job:
    """One flow that writes."""

    url: str
    home: str
    #: file to which each processed entry appends the id of its process
    log: str
    cluster: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def flow(self) -> elastic.Flow:
        entries = elastic.from_range(ENTRIES, chunk_size=CHUNK).map(partial(noted, self.log))
        if self.url.startswith("postgresql"):
            return entries.write_sql(self.url, TABLE)
        return entries.write_jsonl(self.url, storage_options=self.options or None)


def noted(log: str, number: int) -> dict[str, Any]:
    """Return the record of an entry, and append the id of this process to a file."""
    with open(log, "ab", buffering=0) as file:  # noqa: PTH123
        file.write(b"%d\n" % os.getpid())
    time.sleep(0.0005)
    return {"n": number, "name": f"number {number}"}


EXPECTED = [(number, f"number {number}") for number in range(ENTRIES)]


def attack_writes(layer: Layer, targets: tuple[str, ...], kills: int, seed: int, say: Callable[[str], None]) -> None:
    """Kill masters and workers, the same number for each target; note what was lost, doubled or left.

    Of four kills, three are of a master in this process' children, and one of a worker of the embedded Ray.
    """
    began = time.monotonic()
    for target in targets:
        done = 0
        with ExitStack() as stack:
            place = stack.enter_context(_PLACES[target]())
            random_of = random.Random(f"{seed}:{target}")
            while done < kills:
                known = len(layer.problems)
                with tempfile.TemporaryDirectory(prefix="elastic-writing-") as made:
                    try:
                        done += _attack(layer, place, Path(made), random_of, left=kills - done)
                    except _EndedByItselfError as error:
                        layer.problems.append(f"{place.name}: {error}")
                        say(f"WRONG {place.name}: {error}")
                        break
                for problem in layer.problems[known:]:
                    say(f"WRONG {problem}")
                say(f"{target}: {done} kills, {len(layer.problems)} problems")
    layer.seconds += time.monotonic() - began


def _attack(layer: Layer, place: "Place", folder: Path, draw: random.Random, left: int) -> int:
    """Run one flow with kills, resume it, and check everything; return the number of kills."""
    of_worker = place.has_workers and draw.random() < 0.25
    job = Job(place.fresh(folder), str(folder / "home"), str(folder / "log"), "local" if of_worker else "inline",
              place.options)  # fmt: skip
    (folder / "log").touch()
    done = _killed(job, "begin", draw, of_worker=of_worker)
    layer.faults[f"{place.name}: {'worker' if of_worker else 'master'} of a write killed"] += done
    while not of_worker and done and done < left and draw.random() < 0.4:
        again = _killed(job, "resume", draw, of_worker=False)
        layer.faults[f"{place.name}: resuming master of a write killed"] += again
        done += again
        if not again:
            break
    started = time.monotonic()
    code, text = _finished(_started(job, "resume"))
    layer.resumes.append(time.monotonic() - started)
    problems = [f"the answer of resume was {code}: {text}"] if code else list(_problems(job, place))
    layer.problems += [f"{place.name}, {done} kills: {problem}" for problem in problems]
    layer.runs += 1
    layer.entries += ENTRIES
    return done


def _problems(job: Job, place: "Place") -> Iterator[str]:
    found = sorted(place.records(job.url))
    if found != EXPECTED:
        missing, more = set(EXPECTED) - set(found), len(found) - len(set(found))
        yield f"{len(missing)} entries lost, {more} entries counted twice, in {len(found)} records"
    left = place.left(job.url)
    if left:
        yield f"orphans were left: {', '.join(sorted(left)[:5])}"
    code, text = _finished(_started(job, "verify"))
    if code:
        yield f"verify exits {code}: {text}"


def _killed(job: Job, what: str, draw: random.Random, *, of_worker: bool) -> int:
    """Kill a process at a drawn moment; return 0 if it ended first."""
    moment = draw.randint(1, LAST_MOMENT)
    log = Path(job.log)
    before = log.stat().st_size
    process = _started(job, what)
    while process.poll() is None:
        pids = log.read_bytes()[before:].split()
        if len(pids) >= min(moment, ENTRIES):
            time.sleep(max(0, moment - ENTRIES) * WAIT_SECONDS)
            break
        time.sleep(0.001)
    if process.poll() is not None:
        code, text = _finished(process)
        if code:
            raise _EndedByItselfError(f"{what} ended by itself with {code}, before its kill: {text}")
        return 0
    try:
        os.kill(int(draw.choice(sorted(set(pids)))) if of_worker else process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    finally:
        _finished(process)
    return 1


class _EndedByItselfError(Exception):
    """A process failed without a kill."""


def _started(job: Job, what: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.faults.writing", what, json.dumps(asdict(job))]
    environment = {**os.environ, "ELASTIC_HOME": job.home, "ELASTIC_FLOW_PROGRESS": "false"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _finished(process: "subprocess.Popen[str]") -> tuple[int, str]:
    try:
        _, text = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        _, text = process.communicate()
        text = f"no end after {_TIMEOUT} seconds; {text}"
    return process.returncode, text[-500:].strip()


@dataclass(slots=True)
class Place:
    """Where flows write, and how a test sees it without Elastic."""

    name: str
    fresh: Callable[[Path], str]
    records: Callable[[str], list[tuple[int, str]]]
    #: what is there and belongs to no result
    left: Callable[[str], set[str]]
    options: dict[str, Any] = field(default_factory=dict)
    has_workers: bool = True


@contextmanager
def _folder() -> Iterator[Place]:
    import fsspec

    files = fsspec.filesystem("file")
    yield Place("folder", lambda made: str(made / "out"), partial(_records, files), partial(_left, files))


@contextmanager
def _s3() -> Iterator[Place]:
    import boto3
    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        login = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=address, **login).create_bucket(Bucket="bucket")
        options = {"key": "testing", "secret": "testing", "client_kwargs": {"endpoint_url": address}}
        files = fsspec.filesystem("s3", **options)
        yield Place(
            "s3", lambda made: f"s3://bucket/{made.name}/out", partial(_records, files), partial(_left, files), options
        )
    finally:
        server.stop()


@contextmanager
def _postgresql() -> Iterator[Place]:
    from elastic.hooks import SqlHook

    def fresh(made: Path) -> str:
        url = server.create_database()
        SqlHook(url=url).run(f"create table {TABLE} (n integer primary key, name varchar(40))")
        return url

    def records(url: str) -> list[tuple[int, str]]:
        return [tuple(row) for row in SqlHook(url=url).get_records(f"select n, name from {TABLE}")]  # type: ignore[misc]

    def left(url: str) -> set[str]:
        query = "select table_name from information_schema.tables where table_schema = 'public'"
        return {row[0] for row in SqlHook(url=url).get_records(query)} - {TABLE, "elastic_commit"}

    with PostgresServer() as server:
        yield Place("postgresql", fresh, records, left)


_PLACES = {"folder": _folder, "s3": _s3, "postgresql": _postgresql}


def _manifest(files: Any, url: str) -> list[str]:
    files.invalidate_cache()
    return [each["file"] for each in json.loads(files.cat_file(f"{url}/_manifest.json"))["files"]]


def _records(files: Any, url: str) -> list[tuple[int, str]]:
    lines = [line for name in _manifest(files, url) for line in files.cat_file(f"{url}/{name}").splitlines()]
    return [tuple(json.loads(line).values()) for line in lines]


def _left(files: Any, url: str) -> set[str]:
    root = files._strip_protocol(url)
    found = {path[len(root) :].lstrip("/") for path in files.find(root)}
    return found - {*_manifest(files, url), "_manifest.json", "_SUCCESS"}


def _resume(job: Job) -> None:
    try:
        elastic.resume("last", job.flow, cluster=job.cluster, workers=2)
    except ElasticError as error:
        if "is complete" not in str(error):
            raise


def main() -> int:
    """Run, resume or verify the flow of a job."""
    what, plan = sys.argv[1:]
    job = Job(**json.loads(plan))
    if what == "begin":
        job.flow.run(cluster=job.cluster, workers=2, **QUICK)
    elif what == "resume":
        _resume(job)
    else:
        verification = elastic.verify("last", job.flow)
        sys.stderr.write(f"{verification}\n")
        return 0 if verification.ok else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
