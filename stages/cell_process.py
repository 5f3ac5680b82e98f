"""The process of a cell. It is started by `elastic.stages.cell` and told everything on its standard input."""

import contextlib
import ctypes
import faulthandler
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from elastic.core.encoding import pack, unpack
from elastic.core.failure import DeadLetter, Failure
from elastic.core.program import Program
from elastic.stages.isolation import RAISED, Isolation, RefusedError

#: What is noted in shared memory: which unit is running, and since when (monotonic seconds).
_NOTE = struct.Struct("qd")

#: No unit is running.
_NONE = -1

#: A unit of work: entries `[first, stop)`.
Unit = tuple[int, int]


class EndedError(Exception):
    """A fork ended in the middle of user code."""


def main() -> None:
    """Run one chunk, and print its state, its letters and a refusal, packed."""
    # What user code prints must not come between.
    answer = os.dup(1)
    os.dup2(2, 1)
    paths, pickled, chunk_id, reference, block = unpack(sys.stdin.buffer.read())
    sys.path[:] = paths
    from ray import cloudpickle

    program: Program = cloudpickle.loads(pickled)
    isolation = Isolation(program, chunk_id, tuple(reference))
    told: list[Any]
    try:
        state, letters = _Tries(isolation, isolation.parse(block)).run()
        told = [state, [letter.plain() for letter in letters], None]
    except RefusedError as refused:
        told = [b"", [], astuple(refused.failure)]
    with os.fdopen(answer, "wb") as file:
        file.write(pack(told))


class _Tries:
    """Forks until a fork reaches the end."""

    def __init__(self, isolation: Isolation, entries: Sequence[Any]) -> None:
        self._isolation, self._entries = isolation, entries
        self._limit = isolation.program.tolerance.chunk_timeout
        self._note = mmap.mmap(-1, _NOTE.size)
        self._letters: list[DeadLetter] = []

    def run(self) -> tuple[bytes, list[DeadLetter]]:
        units: list[Unit] = self._isolation.units(self._entries)
        while True:
            _NOTE.pack_into(self._note, 0, _NONE, 0.0)
            status, told = self._fork(units)
            if told:
                state, letters, refusal = unpack(told)
                if refusal is not None:
                    raise RefusedError(Failure(*refusal))
                found = [*self._letters, *map(DeadLetter.of, letters)]
                return state, sorted(found, key=lambda letter: letter.failure.index or 0)
            running, since = _NOTE.unpack_from(self._note)
            self._leave_out(units, running, EndedError(self._reason(status, since)))

    def _leave_out(self, units: list[Unit], running: int, error: EndedError) -> None:
        """Take the unit that ended a fork out of those that run."""
        unit = next((unit for unit in units if unit[0] == running), None)
        if unit is None:
            aggregator = f"aggregator {self._isolation.program.aggregator}"
            raise RefusedError(self._isolation.failure(0, len(self._entries), aggregator, error))
        units.remove(unit)
        failure = self._isolation.failure(*unit, "the flow's functions", error)
        self._letters.append(self._isolation.letter(self._entries, *unit, failure, 1))

    def _fork(self, units: list[Unit]) -> tuple[int, bytes]:
        """Run units in a fork; returns how it ended, and what it told if it reached the end."""
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            _end_with_parent()
            with os.fdopen(send, "wb") as file:
                file.write(self._work(units))
            os._exit(0)
        os.close(send)
        with os.fdopen(receive, "rb") as file:
            told = file.read()
        _, status = os.waitpid(child, 0)
        return status, told if status == 0 else b""

    def _work(self, units: list[Unit]) -> bytes:
        aggregator = self._isolation.program.aggregator
        outputs: list[Any] = []
        letters: list[DeadLetter] = []
        try:
            for first, stop in units:
                self._begin(first)
                try:
                    outputs += self._isolation.run(self._entries[first:stop])
                except RAISED as error:
                    again, letter = self._isolation.retry(self._entries, first, stop, error)
                    outputs += again
                    letters += letter
            _NOTE.pack_into(self._note, 0, _NONE, 0.0)
            faulthandler.cancel_dump_traceback_later()
            state = aggregator.encode(aggregator.add_many(aggregator.create(), iter(outputs)))
        except RefusedError as refused:
            return pack([b"", [], astuple(refused.failure)])
        return pack([state, [letter.plain() for letter in letters], None])

    def _begin(self, first: int) -> None:
        _NOTE.pack_into(self._note, 0, first, time.monotonic())
        if self._limit is not None:
            # Its watch is no Python thread, so that it also ends code that never lets go of the interpreter.
            faulthandler.dump_traceback_later(self._limit, exit=True)

    def _reason(self, status: int, since: float) -> str:
        if self._limit is not None and time.monotonic() - since >= self._limit:
            return f"it took longer than chunk_timeout={self._limit:g} s"
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            with contextlib.suppress(ValueError):
                return f"it ended its process by {signal.Signals(number).name}"
            return f"it ended its process by signal {number}"
        return f"it ended its process with exit code {os.waitstatus_to_exitcode(status)}"


def _end_with_parent() -> None:
    """Let the kernel end this process when its parent ends, where it can (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    _end_with_parent()
    main()
