"""Layer B: masters that are killed before each of their calls to the system and to SQLite, and resumed.

A child is forked for each moment and kills itself with SIGKILL; then another master resumes the run in the same folder.
The first pass kills first masters, the second pass kills resuming ones.
"""

import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elastic.core.errors import ElasticError
from tests.faults.simulated_flow import End, begin, finish, go_on


@dataclass(slots=True)
class Crashes:
    """Outcome of the crashes of one scenario."""

    known: int = 0
    covered: int = 0
    kills: int = 0
    ends: list[End] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def crash(name: str, folder: Path, stride: int, offset: int = 0) -> Crashes:
    """Kill a scenario at every `stride`-th moment of its first master, and of the resuming master."""
    crashes = Crashes()
    # Run it once as a whole: the calls of first imports would be counted, and do not occur again.
    warm, whole = _made(folder / "warm"), folder / "first"
    begin(name, warm)
    finish(name, warm)
    first = _calls(lambda: begin(name, whole), whole)
    crashes.known += first
    for number in range(1 + offset % stride, first + 1, stride):
        here = _made(folder / f"begin-{number}")
        _try(crashes, f"{name}, begun and killed at call {number}", begin, number, name, here)
    half = _made(folder / "half")
    _killed(lambda: begin(name, half), first * 6 // 10)
    copy = Path(shutil.copytree(half, folder / "second"))
    second = _calls(lambda: go_on(name, copy), copy)
    crashes.known += second
    for number in range(1 + offset % stride, second + 1, stride):
        here = Path(shutil.copytree(half, folder / f"resume-{number}"))
        _try(crashes, f"{name}, resumed and killed at call {number}", go_on, number, name, here)
    return crashes


def _try(crashes: Crashes, what: str, act: Callable[[str, Path], object], number: int, name: str, folder: Path) -> None:
    if _killed(lambda: act(name, folder), number):
        crashes.covered += 1
        crashes.kills += 1
        end = finish(name, folder) if (folder / "home").exists() else End(not_begun=True)
        crashes.ends.append(end)
        crashes.problems += [f"{what}: {problem}" for problem in end.problems]
    shutil.rmtree(folder)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _calls(act: Callable[[], object], folder: Path) -> int:
    """Return the number of calls of a function that is not killed."""
    folder.mkdir(exist_ok=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        calls = itertools.count()
        _watch(lambda: next(calls))
        with contextlib.suppress(ElasticError):
            act()
        sys.setprofile(None)
        os.write(writing, str(next(calls)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as told:  # noqa: PTH123 - a descriptor has no path
        said = told.read()
    os.waitpid(child, 0)
    return int(said)


def _killed(act: Callable[[], object], number: int) -> bool:
    """Call a function in a child that kills itself before a numbered call; return whether it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            numbers = itertools.count(1)
            _watch(lambda: next(numbers) == number and os.kill(os.getpid(), signal.SIGKILL))
            with contextlib.suppress(ElasticError):
                act()
            status = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            sys.setprofile(None)
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise AssertionError(f"call {number}: the child ended with {status}")
    return status != 0


def _watch(called: Callable[[], object]) -> None:
    """Call a function before each call to the system and to SQLite."""

    def watch(frame: object, event: str, function: Any) -> None:
        if event == "c_call" and (
            function.__module__ == "posix" or isinstance(function.__self__, sqlite3.Connection | sqlite3.Cursor)
        ):
            called()

    sys.setprofile(watch)
