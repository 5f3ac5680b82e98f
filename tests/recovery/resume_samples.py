"""Flows that are killed with SIGKILL at a chosen moment and resumed by the next process, until they complete.

Run as `resume_samples.py STORY HOW FIRST STRIDE FOLDER`. For k = FIRST, FIRST + STRIDE, ... a first child begins the
story and is killed at its k-th moment, a second one resumes it and is killed soon after, and a third one completes it,
until a first child completes it by itself. HOW is `callback` (a moment is a call of an interceptor) or `call` (a call
to the system or to SQLite). Prints one JSON document; the test checks the answers.
"""

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy.dialects.sqlite  # noqa: F401  # here, or each forked child would import it

import elastic
from elastic.aggregators import Collect, Count, FrameCount, Sum
from elastic.aggregators.sharded.frame_result import ShardedFrame
from elastic.core.frames import is_frame
from elastic.core.ledger import in_flight as flight
from elastic.core.model.written import Written
from elastic.engine import master
from elastic.engine.run import FlowRun, home_at, run
from elastic.recovery.resume import Resumption, unfinished_step
from elastic.run_history import RunHistory

ENTRIES = 900
SOON = 9


class Killer(elastic.Interceptor):
    """Kills its process at a numbered call."""

    def __init__(self, number: int) -> None:
        self.number = number

    def _moment(self, *arguments: Any) -> None:
        self.number -= 1
        if self.number == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    step_started = send = receive = distributed = aggregated = task_complete = step_ended = failed = _moment


def kill_before_call(number: int) -> None:
    """Kill this process right before a numbered call to the system or to SQLite."""
    numbers = itertools.count(1)

    def count(frame: object, event: str, called: Any) -> None:
        if event != "c_call":
            return
        is_io = called.__module__ == "posix" or isinstance(called.__self__, sqlite3.Connection)
        if is_io and next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def work(number: int) -> int:
    """Take some time, so that there are several commits."""
    return number + sum(range(3000)) * 0


def fragile(number: int) -> int:
    if number % 100 == 7:
        raise ValueError(f"bad {number}")
    return work(number)


def words_of(line: str) -> list[str]:
    work(0)
    return line.split()


def text(folder: Path) -> str:
    path = folder / "words.txt"
    if not path.exists():
        path.write_text("".join(f"word{n % 13} and word{n % 7}\n" for n in range(ENTRIES)))
        os.utime(path, ns=(0, 1_600_000_000_000_000_000))
    return str(path)


def row(number: int) -> dict[str, int]:
    return {"n": work(number)}


def rows() -> elastic.Flow:
    return elastic.from_range(ENTRIES, chunk_size=30).map(row)


def database(folder: Path) -> str:
    path = folder / "out.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table if not exists numbers (n integer, unique (n))")
    return f"sqlite:///{path}"


STORIES: dict[str, Callable[[Path], elastic.Flow]] = {
    "sum": lambda _: elastic.from_iterable(list(range(ENTRIES)), chunk_size=30).map(work).aggregate(Sum()),
    "words": lambda folder: elastic.read_text(text(folder), chunk_bytes=600).flat_map(words_of).aggregate(Count()),
    "once": lambda _: elastic.from_iterable(iter(range(ENTRIES)), chunk_size=30).map(work).aggregate(Sum()),
    # Only for processes that do not fork afterwards, because a child has no threads of Polars.
    "frames": lambda folder: elastic.read_text(text(folder), chunk_bytes=200).words().aggregate(FrameCount()),
    "ordered": lambda _: elastic.from_range(ENTRIES, chunk_size=30).map(work).aggregate(Collect()),
    "written": lambda folder: elastic.from_range(ENTRIES, chunk_size=30).map(work).write_jsonl(folder / "out"),
    "table": lambda folder: rows().write_sql(database(folder), "numbers"),
    "table-key": lambda folder: rows().write_sql(database(folder), "numbers", key="n"),
    "wide": lambda folder: STORIES["words"](folder).options(shards=3),
    "wide-frames": lambda folder: STORIES["frames"](folder).options(shards=3),
    "letters": lambda _: (
        elastic.from_range(ENTRIES, chunk_size=30).map(fragile).aggregate(Sum()).options(on_error="dead-letter")
    ),
}


def records_in(written: Written) -> list[Any]:
    """Return the records of a written folder in order, after a check that it holds nothing else."""
    folder = Path(written.url)
    names = {file.name for file in written}
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if found != names | {"_manifest.json", "_SUCCESS"}:
        raise AssertionError(f"the folder has {found}, and the files are {names}")
    return sorted(json.loads(line) for name in names for line in (folder / name).read_text().splitlines())


def check_unpublished(folder: Path) -> None:
    """Check that a folder shows readers no data before all chunks of the last run are committed."""
    shown = sorted(path.name for path in (folder / "out").glob("part-*"))
    if not shown:
        return
    archive = RunHistory(home_at(folder / "home"))
    committed = archive.record(archive.find("last"), 0).low
    if committed < ENTRIES // 30:
        raise AssertionError(f"the folder has {shown} after {committed} chunks")


def rows_in(written: Written) -> list[int]:
    """Return the rows of a written table in order, after a check that nothing else is left."""
    with closing(sqlite3.connect(written.url.removeprefix("sqlite:///"))) as connection:
        [*tables] = connection.execute("select name from sqlite_master where type = 'table' order by name")
        if tables != [("elastic_commit",), ("numbers",)]:
            raise AssertionError(f"the database has {tables}")
        return [number for (number,) in connection.execute("select n from numbers order by n")]


def plain(value: Any) -> Any:
    """Return a result as JSON types."""
    if isinstance(value, Written):
        return rows_in(value) if value.table else records_in(value)
    if is_frame(value) or isinstance(value, ShardedFrame):
        return dict(value.iter_rows())
    return dict(value) if isinstance(value, Mapping) else value


QUICK = {"cluster": "inline", "commit_interval": 1e-9, "collect_interval": 1e-9, "target_call_seconds": 1e-9}


def step_of(story: str, folder: Path, **more: Any) -> elastic.Step:
    return STORIES[story](folder).step(**{**QUICK, "home": folder / "home", **more})


def begin(story: str, folder: Path, **more: Any) -> elastic.Result:
    return run(step_of(story, folder, **more))


def go_on(story: str, folder: Path, **more: Any) -> tuple[elastic.Result, int]:
    """Resume the last run; return its result, and the number of chunks that ran again."""
    step = step_of(story, folder, **more)
    again = FlowRun.open(folder / "home", "last")
    try:
        number = unfinished_step(again.run_id, again.store.steps(), None)
        resumption = Resumption.of(again, number, step, reread_source=story == "once")
        return resumption.run().check(), resumption.again
    finally:
        again.close()


def is_killed(act: Callable[[], object]) -> bool:
    """Call a function in a child of this process; return whether it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        # A process that is killed soon makes progress only if it commits before, even after slow commits.
        master._COMMIT_PAUSE_RATIO, flight._MAX_COLLECT_SECONDS = 0, 0.0
        try:
            with contextlib.suppress(elastic.ElasticError):  # notified again by the next master
                act()
            status = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            sys.setprofile(None)
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise AssertionError(f"the child ended with {status}")
    return status != 0


def with_kill(act: Callable[..., object], how: str, number: int) -> Callable[[], object]:
    """Return a function that is killed at a moment."""
    if how == "callback":
        return lambda: act(interceptor=Killer(number))

    def killed() -> None:
        kill_before_call(number)
        act()

    return killed


def tell(story: str, how: str, number: int, folder: Path) -> tuple[int, dict[str, Any] | None]:
    """Return the number of kills of the story, and its outcome; None if its run never began."""
    killed = is_killed(with_kill(lambda **more: begin(story, folder, **more), how, number))
    if not killed:
        return 0, None
    if not any((folder / "home" / "runs").glob("*/run.sqlite")):
        return 1, None
    check_unpublished(folder)
    # Opening a run starts with the same calls each time, so each kill comes a little later.
    kills = 1 + is_killed(with_kill(lambda **more: go_on(story, folder, **more), how, SOON + number % 40))
    check_unpublished(folder)
    began, refused = time.monotonic(), None
    try:
        result, again = go_on(story, folder)
    except elastic.ElasticError as error:
        refused = str(error)
        if "is complete" not in refused:
            return kills, {"number": number, "refused": refused}
        result, again = elastic.result_of("last", step_of(story, folder)), 0
    home = folder / "home"
    [record] = RunHistory(home_at(home)).steps(result.run_id)
    letters = elastic.dead_letters("last", home=home)
    return kills, {
        "number": number,
        "refused": refused,
        "seconds": time.monotonic() - began,
        "again": again,
        "value": plain(result.value),
        "entries": result.entries,
        "chunks": result.chunks,
        "receipts": result.receipts,
        "letters": [letter.failure.place for letter in letters],
        "left": [path.name for path in folder.glob("home/runs/*/chunks/*/*")],
        "masters": 1 + len(record.resumed),
    }


def in_a_row(story: str, number: int, folder: Path) -> list[int]:
    """Kill five masters one after another, each at a numbered callback; return the start of the next one."""
    began_at = []
    for act in (begin, go_on, go_on, go_on, go_on):
        if not is_killed(with_kill(lambda act=act, **more: act(story, folder, **more), "callback", number)):
            raise AssertionError("the story came to its end before it was killed")
        archive = RunHistory(home_at(folder / "home"))
        began_at.append(archive.record(archive.find("last"), 0).low)
    return began_at


def stories(story: str, how: str, numbers: Iterator[int], folder: Path) -> dict[str, Any]:
    kills, ends = 0, []
    for number in numbers:
        here = folder / str(number)
        here.mkdir()
        more, end = tell(story, how, number, here)
        kills += more
        if not more:
            break
        if end is not None:
            ends.append(end)
    return {"kills": kills, "ends": ends}


if __name__ == "__main__":
    first, stride = int(sys.argv[3]), int(sys.argv[4])
    summary = stories(sys.argv[1], sys.argv[2], itertools.count(first, stride), Path(sys.argv[5]))
    sys.stdout.write(json.dumps(summary))
