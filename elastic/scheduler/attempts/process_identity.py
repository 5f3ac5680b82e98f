"""Who holds leases: a process, named so that others on its machine can tell whether it still lives."""

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from elastic.core.process_stat import read_process_stat
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import TaskInstanceRow


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that holds leases."""

    #: names the machine since it was started, and the processes that can be seen from one another
    place: str
    pid: int
    #: when the process was started, in ticks of the machine's clock: a number may be given to another process later
    started: int

    @classmethod
    def of_this_process(cls) -> "ProcessIdentity":
        """Return this process."""
        return cls(_place(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def read(cls, text: str | None) -> "ProcessIdentity | None":
        """Return the holder that a text names, or None if it names none."""
        parts = (text or "").split("/")
        if len(parts) < 3 or not (parts[1].isdigit() and parts[2].isdigit()):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]))

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended: it would have to be seen from here."""
        return self.place == _place() and self.started != 0 and _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"{self.place}/{self.pid}/{self.started}"


def release_leases_of_dead_processes(database: Database, dag_id: str) -> None:
    """End the leases of processes of this machine that are gone, so that nobody waits for them to run out.

    A task that outlived the process that held its lease keeps it: it is on its way to an end of its own.
    """
    for owner, held in _by_owner(queries.active_instances(database, dag_id)).items():
        holder = ProcessIdentity.read(owner)
        if holder is not None and holder.is_gone and not any(_lives(instance) for instance in held):
            transitions.renew(database, owner, -1.0)


def _by_owner(instances: list[TaskInstanceRow]) -> dict[str, list[TaskInstanceRow]]:
    found: dict[str, list[TaskInstanceRow]] = {}
    for instance in instances:
        if instance.lease_owner:
            found.setdefault(instance.lease_owner, []).append(instance)
    return found


def _lives(instance: TaskInstanceRow) -> bool:
    return bool(instance.pid) and instance.host == socket.gethostname() and _started(instance.pid or 0) is not None


@cache
def _place() -> str:
    """Return what tells machines, their starts and their containers apart."""
    facts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            facts.append(str(Path(path).readlink()) if path.endswith("pid") else Path(path).read_text())
        except OSError:
            facts.append("")
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=8).hexdigest()


def _started(pid: int) -> int | None:
    """Return when a process was started, None if there is none of this number (or none that is not a zombie)."""
    try:
        stat = read_process_stat(pid)
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _answers(pid)
    except OSError:
        return 0
    return None if stat.is_zombie else stat.started


def _answers(pid: int) -> int | None:
    """Say whether there is a process, where the machine tells no more of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0
    return 0
