"""Child process of `elastic.stages.worker.entry_probe`: reads one request from standard input, writes one reply."""

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

from elastic.core.contracts.spilling_aggregator import SpillingAggregator
from elastic.core.encoding import pack, unpack
from elastic.core.errors import StoreError
from elastic.core.model.failure import DeadLetter
from elastic.core.native_threads import has_native_threads
from elastic.core.program import Program
from elastic.stages.worker.entry_compatibility import fold
from elastic.stages.worker.failure_bisection import RAISED, ChunkPart, FailureBisection, NotToleratedError

#: Record in shared memory: running unit, its start (monotonic seconds), and its time limit (seconds; 0 for none).
_PROGRESS = struct.Struct("qdd")

#: No unit is running: the program is still loading, or all units are done.
_LOADING, _NO_UNIT = -2, -1

#: Command-line argument: every fork loads the program itself.
_LOAD_IN_FORK = "clean"

#: Unit of work: entries `[first, stop)`.
Unit = tuple[int, int]


class EndedError(Exception):
    """A fork died in user code."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Program and entries of the chunk."""

    bisection: FailureBisection
    entries: Sequence[Any]

    @classmethod
    def of(cls, request: bytes) -> "_Loaded":
        """Return the program and the entries of a request."""
        from ray import cloudpickle

        paths, pickled, chunk_id, reference, block = unpack(request)
        sys.path[:] = paths
        program: Program = cloudpickle.loads(pickled)
        bisection = FailureBisection(program, chunk_id, tuple(reference))
        return cls(bisection, bisection.parse(block))


def main() -> None:
    """Run one chunk, and write its state, its dead letters, the failure and the error of the store, packed."""
    # User code that prints must not damage the reply, so its output goes to standard error.
    output = os.dup(1)
    os.dup2(2, 1)
    request = sys.stdin.buffer.read()
    try:
        loaded = None if _LOAD_IN_FORK in sys.argv else _Loaded.of(request)
    except NotToleratedError as not_tolerated:
        reply = _encode_failure(not_tolerated)
    else:
        if loaded and has_native_threads():
            # Loading started native threads, which no fork of this process would have.
            _restart_clean(request, output)
        reply = _ForkAttempts(request, loaded).run()
    with os.fdopen(output, "wb") as file:
        file.write(reply)


def _encode_failure(not_tolerated: NotToleratedError) -> bytes:
    return pack([b"", [], astuple(not_tolerated.failure), None])


def _restart_clean(request: bytes, output: int) -> None:
    """Replace this process by a new one, whose forks load the program."""
    os.dup2(output, 1)
    with tempfile.TemporaryFile() as file:
        file.write(request)
        file.seek(0)
        os.dup2(file.fileno(), 0)
    os.execv(sys.executable, [sys.executable, "-m", "elastic.stages.worker.entry_probe_process", _LOAD_IN_FORK])  # noqa: S606 - ourselves


class _ForkAttempts:
    """Retry loop: forks until a fork runs all remaining units."""

    def __init__(self, request: bytes, loaded: _Loaded | None) -> None:
        self._request, self._loaded = request, loaded
        self._progress = mmap.mmap(-1, _PROGRESS.size)
        #: Units in which a fork died, and the reason.
        self._fatal: list[tuple[int, str]] = []

    def run(self) -> bytes:
        while True:
            self._record(_LOADING)
            status, reply = self._fork()
            if reply:
                return reply
            running, since, limit = _PROGRESS.unpack_from(self._progress)
            if running == _LOADING:
                raise SystemExit(f"the program could not be loaded: {_death_reason(status, since, limit)}")
            self._fatal.append((running, _death_reason(status, since, limit)))

    def _fork(self) -> tuple[int, bytes]:
        """Run the remaining units in a fork; return its exit status and its reply."""
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            _end_with_parent()
            with os.fdopen(send, "wb") as file:
                file.write(self._run_chunk())
            os._exit(0)
        os.close(send)
        with os.fdopen(receive, "rb") as file:
            reply = file.read()
        _, status = os.waitpid(child, 0)
        return status, reply if status == 0 else b""

    def _run_chunk(self) -> bytes:
        """Return the state, the dead letters, the failure and the error of the store, packed."""
        try:
            loaded = self._loaded or _Loaded.of(self._request)
            bisection, entries = loaded.bisection, loaded.entries
            limit = bisection.program.error_policy.chunk_timeout
            self._record(_NO_UNIT)
            units, dead_letters = self._remaining_units(loaded)
            parts: list[ChunkPart] = []
            for first, stop in units:
                self._start_unit(first, limit)
                bisected = bisection.run(entries, first, stop)
                parts += bisected.parts
                dead_letters += bisected.dead_letters
            self._record(_NO_UNIT)
            faulthandler.cancel_dump_traceback_later()
            encoded, incompatible = _fold(parts, loaded)
        except NotToleratedError as not_tolerated:
            return _encode_failure(not_tolerated)
        except StoreError as error:
            return pack([b"", [], None, str(error)])
        dead_letters = sorted([*dead_letters, *incompatible], key=lambda letter: letter.failure.index or 0)
        return pack([encoded, [letter.plain() for letter in dead_letters], None, None])

    def _remaining_units(self, loaded: _Loaded) -> tuple[list[Unit], list[DeadLetter]]:
        """Return the units in which no fork died, and a dead letter for each of the others."""
        bisection, entries = loaded.bisection, loaded.entries
        units: list[Unit] = bisection.units(entries)
        dead_letters = []
        for running, reason in self._fatal:
            unit = next((unit for unit in units if unit[0] == running), None)
            if unit is None:
                aggregator = f"aggregator {bisection.program.aggregator}"
                raise NotToleratedError(bisection.failure(0, len(entries), aggregator, EndedError(reason)))
            units.remove(unit)
            failure = bisection.failure(*unit, "the flow's functions", EndedError(reason))
            dead_letters.append(bisection.dead_letter(entries, *unit, failure, 1))
        return units, dead_letters

    def _start_unit(self, first: int, limit: float | None) -> None:
        self._record(first, limit)
        if limit is not None:
            # faulthandler uses no Python thread, so it also ends code that never releases the interpreter lock.
            faulthandler.dump_traceback_later(limit, exit=True)

    def _record(self, unit: int, limit: float | None = None) -> None:
        _PROGRESS.pack_into(self._progress, 0, unit, time.monotonic(), limit or 0.0)


def _fold(parts: Sequence[ChunkPart], loaded: _Loaded) -> tuple[bytes, list[DeadLetter]]:
    """Return the encoded state of all compatible entries, and a dead letter for each other entry.

    Raises:
        NotToleratedError: The aggregator fails, or the error policy does not tolerate an incompatible entry.
        StoreError: A part of the state cannot be spilled.
    """
    bisection = loaded.bisection
    aggregator = bisection.program.aggregator
    try:
        state, incompatible = fold(parts, aggregator)
        if isinstance(aggregator, SpillingAggregator):
            state = aggregator.begin(state, bisection.chunk_id, bisection.chunk_id + 1)
        return aggregator.encode(state), incompatible
    except (NotToleratedError, StoreError):
        raise
    except RAISED as error:
        failure = bisection.failure(0, len(loaded.entries), f"aggregator {aggregator}", error)
        raise NotToleratedError(failure) from error


def _death_reason(status: int, since: float, limit: float) -> str:
    if limit and time.monotonic() - since >= limit:
        return f"it took longer than chunk_timeout={limit:g} s"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            return f"it ended its process by {signal.Signals(number).name}"
        return f"it ended its process by signal {number}"
    return f"it ended its process with exit code {os.waitstatus_to_exitcode(status)}"


def _end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    _end_with_parent()
    main()
