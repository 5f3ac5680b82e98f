"""The process of a cell: `elastic.stages.worker.entry_probe` starts it and writes its orders to its standard input."""

import contextlib
import ctypes
import faulthandler
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from elastic.core.encoding import pack, unpack
from elastic.core.model.failure import DeadLetter
from elastic.core.native_threads import has_native_threads
from elastic.core.program import Program
from elastic.stages.worker.entry_agreement import fold
from elastic.stages.worker.isolation import ChunkPart, FailureBisection, NotToleratedError

#: What is noted in shared memory: which unit is running, since when (monotonic seconds), and for how long it may.
_NOTE = struct.Struct("qdd")

#: No unit is running: the program is not loaded yet, or the units are done.
_LOADING, _NONE = -2, -1

#: The argument of a process whose forks load the program themselves.
_CLEAN = "clean"

#: A unit of work: entries `[first, stop)`.
Unit = tuple[int, int]


class EndedError(Exception):
    """A fork ended in the middle of user code."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The program and the entries of the chunk."""

    isolation: FailureBisection
    entries: Sequence[Any]

    @classmethod
    def of(cls, order: bytes) -> "_Loaded":
        """Load what an order names."""
        from ray import cloudpickle

        paths, pickled, chunk_id, reference, block = unpack(order)
        sys.path[:] = paths
        program: Program = cloudpickle.loads(pickled)
        isolation = FailureBisection(program, chunk_id, tuple(reference))
        return cls(isolation, isolation.parse(block))


def main() -> None:
    """Run one chunk, and print its state, its letters and a refusal, packed."""
    # What user code prints must not come between.
    answer = os.dup(1)
    os.dup2(2, 1)
    order = sys.stdin.buffer.read()
    try:
        loaded = None if _CLEAN in sys.argv else _Loaded.of(order)
    except NotToleratedError as refused:
        told = _refusal(refused)
    else:
        if loaded and has_native_threads():
            # A library that the program loaded has started threads, which no fork of this process would have.
            _start_again(order, answer)
        told = _Tries(order, loaded).run()
    with os.fdopen(answer, "wb") as file:
        file.write(told)


def _refusal(refused: NotToleratedError) -> bytes:
    return pack([b"", [], astuple(refused.failure)])


def _start_again(order: bytes, answer: int) -> None:
    """Become a process that loads nothing itself."""
    os.dup2(answer, 1)
    with tempfile.TemporaryFile() as file:
        file.write(order)
        file.seek(0)
        os.dup2(file.fileno(), 0)
    os.execv(sys.executable, [sys.executable, "-m", "elastic.stages.worker.entry_probe_process", _CLEAN])  # noqa: S606 - ourselves


class _Tries:
    """Forks until a fork reaches the end."""

    def __init__(self, order: bytes, loaded: _Loaded | None) -> None:
        self._order, self._loaded = order, loaded
        self._note = mmap.mmap(-1, _NOTE.size)
        #: units that ended a fork, and how
        self._ended: list[tuple[int, str]] = []

    def run(self) -> bytes:
        while True:
            self._take_note(_LOADING)
            status, told = self._fork()
            if told:
                return told
            running, since, limit = _NOTE.unpack_from(self._note)
            if running == _LOADING:
                raise SystemExit(f"the program could not be loaded: {_reason(status, since, limit)}")
            self._ended.append((running, _reason(status, since, limit)))

    def _fork(self) -> tuple[int, bytes]:
        """Run all units in a fork but for those that ended one; return how it ended, and what it told."""
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            _end_with_parent()
            with os.fdopen(send, "wb") as file:
                file.write(self._told())
            os._exit(0)
        os.close(send)
        with os.fdopen(receive, "rb") as file:
            told = file.read()
        _, status = os.waitpid(child, 0)
        return status, told if status == 0 else b""

    def _told(self) -> bytes:
        """Return the state, the letters and a refusal, packed."""
        try:
            loaded = self._loaded or _Loaded.of(self._order)
            isolation, entries = loaded.isolation, loaded.entries
            limit = isolation.program.tolerance.chunk_timeout
            self._take_note(_NONE)
            units, letters = self._left(loaded)
            parts: list[ChunkPart] = []
            for first, stop in units:
                self._begin(first, limit)
                sifted = isolation.sift(entries, first, stop)
                parts += sifted.parts
                letters += sifted.letters
            self._take_note(_NONE)
            faulthandler.cancel_dump_traceback_later()
            aggregator = isolation.program.aggregator
            state, strays = fold(parts, aggregator)
            encoded = aggregator.encode(state)
        except NotToleratedError as refused:
            return _refusal(refused)
        letters = sorted([*letters, *strays], key=lambda letter: letter.failure.index or 0)
        return pack([encoded, [letter.plain() for letter in letters], None])

    def _left(self, loaded: _Loaded) -> tuple[list[Unit], list[DeadLetter]]:
        """Return the units that no fork ended in, and a letter for each of the others."""
        isolation, entries = loaded.isolation, loaded.entries
        units: list[Unit] = isolation.units(entries)
        letters = []
        for running, reason in self._ended:
            unit = next((unit for unit in units if unit[0] == running), None)
            if unit is None:
                aggregator = f"aggregator {isolation.program.aggregator}"
                raise NotToleratedError(isolation.failure(0, len(entries), aggregator, EndedError(reason)))
            units.remove(unit)
            failure = isolation.failure(*unit, "the flow's functions", EndedError(reason))
            letters.append(isolation.letter(entries, *unit, failure, 1))
        return units, letters

    def _begin(self, first: int, limit: float | None) -> None:
        self._take_note(first, limit)
        if limit is not None:
            # Its watch is no Python thread, so that it also ends code that never lets go of the interpreter.
            faulthandler.dump_traceback_later(limit, exit=True)

    def _take_note(self, unit: int, limit: float | None = None) -> None:
        _NOTE.pack_into(self._note, 0, unit, time.monotonic(), limit or 0.0)


def _reason(status: int, since: float, limit: float) -> str:
    if limit and time.monotonic() - since >= limit:
        return f"it took longer than chunk_timeout={limit:g} s"
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
