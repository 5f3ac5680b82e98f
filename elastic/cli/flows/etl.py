"""Flow of `elastic example etl`: lines of web logs become records in files, one folder per day."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import elastic
from elastic.aggregators import Count
from elastic.core.errors import ElasticError, UsageError

#: Lines of each made log, one of `_DAMAGED_EVERY` of them damaged.
_LINES, _DAMAGED_EVERY = 10_000, 1_250
_DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
_PAGES = ("/", "/search", "/basket", "/pay")
_STATUSES = (200, 200, 404, 200, 500)
_CHUNK_BYTES = 8_000


class PerDay(Count):
    """Count of records per day."""

    def add(self, state: "Counter[Hashable]", entry: Any) -> "Counter[Hashable]":
        return self.add_many(state, [entry])

    def add_many(self, state: "Counter[Hashable]", entries: Iterable[Any]) -> "Counter[Hashable]":
        state.update([entry["day"] for entry in entries])
        return state


class KillAtHalf(elastic.Interceptor):
    """Interceptor that kills this process when a number of chunks are in the result."""

    def __init__(self, chunks: int) -> None:
        self._chunks = chunks

    def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
        if task_count >= self._chunks:
            os.kill(os.getpid(), signal.SIGKILL)


def make_logs(folder: Path) -> None:
    """Write a log for each of three days, always the same, to a new folder.

    Raises:
        UsageError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True)
        for day in _DAYS:
            lines = [_line(day, number) if (number + 1) % _DAMAGED_EVERY else "###" for number in range(_LINES)]
            (folder / f"{day}.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{str(folder)!r} cannot be written ({error.strerror}); name another folder.") from error


def _line(day: str, number: int) -> str:
    time = f"{number * 8 // 3600:02}:{number * 8 // 60 % 60:02}:{number * 8 % 60:02}"
    page, status = _PAGES[number % len(_PAGES)], _STATUSES[number % len(_STATUSES)]
    return f"{day}T{time} {status} {page} {1 + number * 7919 % 400}"


def parse(line: str) -> dict[str, Any]:
    """Return the fields of a line; a damaged line raises ValueError."""
    at, status, page, milliseconds = line.split()
    day, _, time = at.partition("T")
    return {"day": day, "time": time, "status": int(status), "page": page, "milliseconds": int(milliseconds)}


def etl(logs: Path, out: Path, form: str) -> elastic.Flow:
    """Return the flow: parse the lines, write the records to a folder per day, and count them per day."""
    records = elastic.read_text(logs, chunk_bytes=_CHUNK_BYTES).map(parse)
    write = records.write_parquet if form == "parquet" else records.write_jsonl
    return write(out, partition_by="day").aggregate(PerDay()).options(on_error="dead-letter")


def run_until_killed(logs: Path, out: Path, form: str, cluster: str | None) -> str:
    """Run the flow in another process that is killed half-way; return the id of the run.

    Raises:
        ElasticError: The process ended in another way; the message is its error.
    """
    arguments = [str(logs), str(out), form, cluster or ""]
    before = {run.run_id for run in elastic.runs()}
    program = "import sys; from elastic.cli.flows.etl import run_to_half; run_to_half(*sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - this Python
    begun = [run.run_id for run in elastic.runs() if run.run_id not in before]
    if done.returncode != -signal.SIGKILL or len(begun) != 1:
        raise ElasticError((done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"])[-1])
    return begun[0]


def run_to_half(logs: str, out: str, form: str, cluster: str) -> None:
    """Run the flow, and kill this process half-way; if the run fails, exit with its error."""
    chunks = sum(path.stat().st_size for path in Path(logs).iterdir()) // _CHUNK_BYTES
    options: dict[str, Any] = {"cluster": cluster} if cluster else {}
    # Commits and collections are frequent, so that a part of the work is kept after so short a time.
    options |= {"collect_interval": 0.05, "commit_interval": 0.05, "max_chunks_per_call": 4}
    try:
        etl(Path(logs), Path(out), form).run(name="etl", interceptor=KillAtHalf(chunks // 2), **options)
    except ElasticError as error:
        sys.exit(str(error))
