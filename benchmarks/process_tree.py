"""Memory and end of a process and its descendants. Linux only; elsewhere it has no members."""

import contextlib
import os
import signal
import time
from pathlib import Path

_PROC = Path("/proc")

#: Seconds that the descendants of a contender have to exit after it.
_END_SECONDS = 10.0


class ProcessTree:
    """Descendants of a process.

    A process that was seen once remains a member after its parent has ended.

    Args:
        root: The id of a process.
    """

    def __init__(self, root: int) -> None:
        #: start time by process id: the id may belong to another process by now
        self._members: dict[int, str] = {root: _began_at(root)}

    def look(self) -> list[int]:
        """Find new members and return the ids of all living ones."""
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
        """Return the bytes of all members; shared pages count once if the kernel reports them."""
        return sum(map(_bytes_of, self.look()))

    def end(self) -> None:
        """Wait a few seconds for all members to exit."""
        deadline = time.monotonic() + _END_SECONDS
        while self.look() and time.monotonic() < deadline:
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill all members."""
        for pid in self.look():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def tells_shared_memory() -> bool:
    """Return whether the kernel reports the proportional share of memory of a process."""
    return (_PROC / "self" / "smaps_rollup").is_file()


def _facts(pid: int) -> tuple[int, str]:
    """Return parent and start time of a process; (0, "") if it has ended."""
    try:
        # The name, in parentheses, may contain any character.
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
