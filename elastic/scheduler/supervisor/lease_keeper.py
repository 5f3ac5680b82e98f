"""Lease keeper: renews the leases of a master, a worker or a command from a process beside it while it is blocked."""

import contextlib
import mmap
import multiprocessing
import os
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from elastic.core.errors import ElasticError
from elastic.core.parent_death import signal_at_parent_death
from elastic.core.process_stat import is_stopped
from elastic.core.text import error_text
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.stores.jobs import heartbeat
from elastic.scheduler.deployment import Deployment

#: Heartbeat intervals without a beat after which the keeper renews.
_LATE_BEATS = 1.5

#: Leases without a beat after which their owner counts as hung.
_MAX_SILENT_LEASES = 10

#: Time of the last beat (clock of `time.monotonic`, which all processes share), and the id of the job.
_BEAT = struct.Struct("dq")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSetup:
    """Leases that a keeper renews."""

    database: Database
    #: owner of the leases of attempts and runs
    owner: str
    #: seconds until a lease that is not renewed expires
    lease: float
    #: seconds between the renewals of the owner itself
    interval: float
    say: Callable[[str], None]
    #: what owns the leases, for messages
    title: str = "the master"

    @property
    def max_silence(self) -> float:
        """Seconds without a beat after which the owner counts as hung."""
        return _MAX_SILENT_LEASES * self.lease


@dataclass(slots=True)
class LeaseKeeper:
    """Process that renews the leases of its parent and the heartbeat of its job while the parent does not.

    The parent is a master, a worker or a command that runs tasks. It renews its leases itself, and beats each time. The
    keeper acts only if the beat is late: it costs no transaction while the parent works. It is a process and not a
    thread, because the parent forks, and a fork copies the locks that a thread holds.

    The keeper must not hold what its parent cannot drive. It renews nothing

    - after the parent has ended: the kernel kills the keeper with it, and it looks at its parent before each renewal
    - while the parent is stopped (SIGSTOP, a debugger)
    - after ten leases without a beat, when the parent counts as hung
    - that the parent has released or another one has taken over, because the owner of the lease is another then
    """

    setup: KeeperSetup
    _process: BaseProcess | None = None
    _beat: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, _BEAT.size))

    @classmethod
    def of(cls, deployment: Deployment, title: str, owner: str, say: Callable[[str], None]) -> "LeaseKeeper":
        """Return a keeper of the leases of this process.

        Args:
            deployment: Database and lengths of leases.
            title: What this process is, for messages: `the master`.
            owner: Owner of the leases.
            say: Receives messages.
        """
        return cls(
            KeeperSetup(
                database=deployment.database,
                owner=owner,
                lease=deployment.lease,
                interval=deployment.renewal_interval,
                say=say,
                title=title,
            )
        )

    def beat(self, job_id: int) -> None:
        """Report that this process works and has just renewed its leases; start the keeper if none runs.

        Args:
            job_id: The present job of this process.
        """
        _BEAT.pack_into(self._beat, 0, time.monotonic(), job_id)
        if self._process is not None and not self._process.is_alive():
            self._process.close()
            self._process = None
            self.setup.say("the lease keeper has ended; it is started again")
        if self._process is None:
            context: Any = multiprocessing.get_context("fork")
            self._process = context.Process(
                target=_keep, args=(self.setup, self._beat, os.getpid()), name="elastic-lease-keeper", daemon=True
            )
            self._process.start()

    def stop(self) -> None:
        """End the process, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None


def _keep(setup: KeeperSetup, beat: mmap.mmap, parent: int) -> None:
    """Renew the leases of the parent whenever its beat is late."""
    _end_with(parent)
    late = _LATE_BEATS * setup.interval
    renewed_at, has_said, failure = 0.0, False, ""
    while True:
        beat_at, job_id = _BEAT.unpack_from(beat)
        wait = max(beat_at, renewed_at) + late - time.monotonic()
        if wait > 0:
            time.sleep(wait)
            continue
        is_hung = time.monotonic() - beat_at > setup.max_silence
        if is_hung and not has_said:
            setup.say(f"{setup.title} has made no progress for {setup.max_silence:g} s; its leases are renewed no more")
        has_said = is_hung
        renewed_at = time.monotonic()
        if os.getppid() != parent:
            return
        if is_hung or is_stopped(parent):
            continue
        before, failure = failure, _renew(setup, job_id)
        if failure:
            renewed_at -= late / 2
        if failure and not before:
            # Said once for an outage, and not with each try.
            setup.say(f"the lease keeper could not renew the leases: {failure}")


def _renew(setup: KeeperSetup, job_id: int) -> str:
    """Renew all leases; return why the database could not be used, or an empty string."""
    try:
        transitions.renew(setup.database, setup.owner, setup.lease)
        transitions.renew_claims(setup.database, setup.owner, setup.lease)
        heartbeat(setup.database, job_id)
    except ElasticError as error:
        return error_text(error)
    finally:
        setup.database.close()
    return ""


def _end_with(parent: int) -> None:
    """Leave the parent's process group, so that Ctrl-C reaches only the parent, and end at once with the parent."""
    with contextlib.suppress(OSError):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal_at_parent_death(signal.SIGKILL)
