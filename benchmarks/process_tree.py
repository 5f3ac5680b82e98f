"""A process and all that it has started: their memory, and their end. Linux only; elsewhere nothing is known."""

import contextlib
import os
import signal
import time
from pathlib import Path

_PROC = Path("/proc")

#: Seconds in which what a contender has started must end by itself after it.
_END_SECONDS = 10.0


class ProcessTree:
    """All processes below one.

    What was seen once stays a member, also when its parent has ended and it hangs elsewhere.

    Args:
        root: The id of a process.
    """

    def __init__(self, root: int) -> None:
        #: by process id, when it began: an id alone might be another process's by now
        self._members: dict[int, str] = {root: _began_at(root)}

    def look(self) -> list[int]:
        """Look for new members, and return the ids of all that are alive."""
        parents = {int(path.name): _facts(int(path.name)) for path in _PROC.glob("[0-9]*")}
        children: dict[int, list[int]] = {}
        for pid, (parent, _) in parents.items():
            children.setdefault(parent, []).append(pid)
        alive = [pid for pid, began in self._members.items() if began and parents.get(pid, (0, ""))[1] == began]
        for pid in alive:
            for child in children.get(pid, ()):
                if child not in self._members:
                    self._members[child] = parents[child][1]
                    alive.append(child)
        return alive

    def memory(self) -> int:
        """Return the bytes that all members take together; what several share counts once, where the kernel tells."""
        return sum(map(_bytes_of, self.look()))

    def end(self) -> None:
        """Wait some seconds for all members to end."""
        deadline = time.monotonic() + _END_SECONDS
        while self.look() and time.monotonic() < deadline:
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill all members."""
        for pid in self.look():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def tells_shared_memory() -> bool:
    """Return whether the kernel tells each process's share of the memory that several of them use."""
    return (_PROC / "self" / "smaps_rollup").is_file()


def _facts(pid: int) -> tuple[int, str]:
    """Return a process's parent and when it began; (0, "") for one that has ended."""
    try:
        # The name, in brackets, may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, ""
    return (0, "") if fields[0] in "ZX" else (int(fields[1]), fields[19])


def _began_at(pid: int) -> str:
    return _facts(pid)[1]


def _bytes_of(pid: int) -> int:
    name, key = ("smaps_rollup", "Pss:") if tells_shared_memory() else ("status", "VmRSS:")
    try:
        lines = (_PROC / str(pid) / name).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
