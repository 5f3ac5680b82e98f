"""take and take-files: the first five lines of a large file, and of a folder of many files."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.sample_text import Text
from benchmarks.workload import Attempt, Check, Contender, Workload

PLAIN = "python: open, readline"

#: Program of a contender, whose argument is a file or a folder; its own code defines `first_lines`.
_PROGRAM = """
import json, os, sys, time
from contextlib import nullcontext
CODE
if __name__ == "__main__":
    with OPENED as session:
        began = time.perf_counter()
        lines = first_lines(session, sys.argv[1])
        seconds = time.perf_counter() - began
        print("\\n" + json.dumps([seconds, lines]))
"""

_LOOP = """
from itertools import chain, islice
def first_lines(session, given):
    paths = [given]
    if os.path.isdir(given):
        paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(given) for name in names)
    return [line.rstrip("\\n") for line in islice(chain.from_iterable(map(open, paths)), 5)]
"""

_TAKE = """
import elastic
def first_lines(session, given):
    return elastic.read_text(given).take(5)
"""

_GLOB = """
def pattern(given):
    return os.path.join(given, "**", "*.txt") if os.path.isdir(given) else given
"""

_RAY_DATA = """
from benchmarks.engine import ENGINES
def first_lines(session, given):
    return [row["text"] for row in session.read_text(given, drop_empty_lines=False).take(5)]
"""

_DASK = f"""
import dask.bag
from benchmarks.engine import ENGINES
{_GLOB}
def first_lines(session, given):
    return [line.rstrip("\\n") for line in dask.bag.read_text(pattern(given)).take(5)]
"""

_POLARS = f"""
import polars
{_GLOB}
def first_lines(session, given):
    return polars.scan_lines(pattern(given), name="line").head(5).collect()["line"].to_list()
"""

_DUCKDB = f"""
import duckdb
{_GLOB}
LINES = "columns={{'line': 'VARCHAR'}}, auto_detect=false, header=false, delim='\\\\x01', quote='', escape=''"
def first_lines(session, given):
    query = f"SELECT coalesce(line, '') FROM read_csv(?, {{LINES}}) LIMIT 5".replace("\\\\x01", chr(1))
    return [line for line, in duckdb.execute(query, [pattern(given)]).fetchall()]
"""


def first_lines(code: str, opened: str, given: Callable[[Text], Path], attempt: Attempt) -> Check:
    """Run the program of a contender; count neither its imports nor the start of its engine."""
    script = attempt.folder / "program.py"
    script.write_text(_PROGRAM.replace("CODE", code).replace("OPENED", opened), encoding="utf-8")
    command = [sys.executable, str(script), str(given(attempt.text))]
    with attempt.timed():
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    attempt.seconds, lines = json.loads(done.stdout.splitlines()[-1])
    return {"lines": lines}


def large_file(text: Text) -> Path:
    return text.sources / "part0.txt"


def small_files(text: Text) -> Path:
    return text.small


_ROWS = (
    ("python", "open, readline", _LOOP, "nullcontext()"),
    ("elastic inline", "take", _TAKE, "nullcontext()"),
    ("ray data", "read_text, take", _RAY_DATA, 'ENGINES["ray data"].opened()'),
    ("dask", "bag, take", _DASK, 'ENGINES["dask"].opened()'),
    ("polars", "scan_lines, head", _POLARS, "nullcontext()"),
    ("duckdb", "read_csv, LIMIT", _DUCKDB, "nullcontext()"),
)


def _of(key: str, title: str, given: Callable[[Text], Path]) -> Workload:
    return Workload(
        key=key,
        title=title,
        unit="looks",
        full=1,
        of_text=True,
        of_commands=True,
        contenders=tuple(
            Contender(
                name=name,
                engine=engine,
                carry_out=partial(first_lines, code, opened, given),
                baseline=PLAIN,
            )
            for engine, name, code, opened in _ROWS
        ),
        notes=(
            "Seconds from the end of the imports, and of the start of Ray or Dask, until the lines exist. "
            "Each is the first call in its process: modules that a library imports at its first use count.",
        ),
    )


FIRST_OF_FILE = _of("take", "The first five lines of a large file", large_file)

FIRST_OF_FILES = _of("take-files", "The first five lines of many files", small_files)
