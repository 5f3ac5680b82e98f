"""Identity of a lease owner (boot, pid, start time), so that processes on the same host can detect that it exited."""

import hashlib
import os
import socket
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from elastic.core.process_stat import read_process_stat
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import TaskInstanceRow


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Identity of a process that owns leases."""

    #: digest of the host, its boot and its pid namespace
    boot_id: str
    pid: int
    #: start time in clock ticks, because the kernel reuses pids; 0 if unknown
    started: int

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """Return the identity of this process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """Return the identity of a process of this host."""
        return cls(_boot_id(), pid, _start_ticks(pid) or 0)

    @classmethod
    def parse(cls, text: str | None) -> "ProcessIdentity | None":
        """Return the identity that a lease owner names, or None if it names no process."""
        parts = (text or "").split("/")
        if len(parts) < 3 or not (parts[1].isdigit() and parts[2].isdigit()):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]))

    @property
    def has_exited(self) -> bool:
        """Whether the process is known to have exited; False if this process could not see it."""
        return self.boot_id == _boot_id() and self.started != 0 and _start_ticks(self.pid) != self.started

    @property
    def is_running(self) -> bool:
        """Whether this process sees the process run; a process whose start time is unknown does not count."""
        return self.boot_id == _boot_id() and self.started != 0 and _start_ticks(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.boot_id}/{self.pid}/{self.started}"


def new_owner() -> str:
    """Return a name under which this process holds leases; no other call returns the same."""
    return f"{ProcessIdentity.current()}/{uuid.uuid4().hex[:8]}"


def release_leases_of_dead_processes(database: Database, dag_id: str) -> None:
    """Expire the leases of processes on this host that have exited, so that waiting for the expiry is unnecessary.

    A task that outlived the owner of its lease keeps the lease, because it may still finish by itself.
    """
    for owner, instances in _by_owner(queries.active_instances(database, dag_id)).items():
        identity = ProcessIdentity.parse(owner)
        if identity is not None and identity.has_exited and not any(_is_running(one) for one in instances):
            transitions.release_leases(database, owner)


def _by_owner(instances: list[TaskInstanceRow]) -> dict[str, list[TaskInstanceRow]]:
    found: dict[str, list[TaskInstanceRow]] = {}
    for instance in instances:
        if instance.lease_owner:
            found.setdefault(instance.lease_owner, []).append(instance)
    return found


def _is_running(instance: TaskInstanceRow) -> bool:
    is_local = bool(instance.pid) and instance.host == socket.gethostname()
    return is_local and _start_ticks(instance.pid or 0) is not None


def host_and_boot() -> tuple[str, str]:
    """Return the name of this host, and the id of its boot; the id is empty if the system has none."""
    try:
        return socket.gethostname(), Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname(), ""


@cache
def _boot_id() -> str:
    """Return a digest that differs between hosts, between boots of a host, and between containers."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(str(Path(path).readlink()) if path.endswith("pid") else Path(path).read_text())
        except OSError:
            parts.append("")
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def _start_ticks(pid: int) -> int | None:
    """Return the start time of a process in clock ticks; None if it does not exist or is a zombie; 0 if unknown."""
    try:
        found = read_process_stat(pid)
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _probe(pid)
    except OSError:
        return 0
    return None if found.is_zombie else found.started


def _probe(pid: int) -> int | None:
    """Return None if a process does not exist, else 0: for systems without /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0
    return 0
