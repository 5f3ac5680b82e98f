"""The start of an actor: what it is given, its first word, and why it did not come to that."""

import errno
from dataclasses import dataclass
from typing import Any

import ray

from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.errors import NodeRefusedError
from elastic.core.policies.worker_starts import WorkerStarts
from elastic.core.program import Program
from elastic.stages.ray_backend.actors import versions
from elastic.stages.ray_backend.code_shipping import DriverCode


@dataclass(frozen=True, slots=True)
class ActorPayload:
    """What every actor of a step is started with."""

    program: Program
    pickled: bytes
    #: the code beside the driver
    code: DriverCode
    heartbeat: Heartbeat
    #: decides when a worker may be started
    starts: WorkerStarts
    #: keeps files for nodes that do not see the folder of the run; None where that is not needed
    depot: Any = None


@dataclass(slots=True)
class Starting:
    """A worker that is started and not ready: its CPU is not free, its process not up, or its program not loaded."""

    worker: Any
    #: monotonic seconds
    began_at: float
    #: its process has said its first word, and is watched from then on
    has_spoken: bool = False


def greeted(hello: Any, node_id: str) -> tuple[int, str]:
    """Return the process id of an actor, and the file of its signs of life.

    Raises:
        NodeRefusedError: Its versions are others.
        RayError: It did not answer.
    """
    theirs, process_id, pulse = ray.get(hello)
    for name, ours in versions().items():
        if theirs[name] != ours:
            reason = f"it has {name} {theirs[name]} and this one {ours}; install the same version on all nodes"
            raise NodeRefusedError(node_id, reason)
    return process_id, pulse


#: Errors of the system that may be over a moment later.
_PASSING = (errno.EAGAIN, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC)


def said_by(error: Exception) -> str | None:
    """Return what a process raised as it started, which it would raise again; None when it ended without a word."""
    if not isinstance(error, ray.exceptions.RayTaskError | ray.exceptions.ActorDiedError):
        return None
    cause = getattr(error, "cause", None)
    if isinstance(cause, ray.exceptions.RayError | MemoryError) or getattr(cause, "errno", None) in _PASSING:
        return None
    if cause is not None:
        said = f"{type(cause).__name__}: {cause}".splitlines()[0]
    else:
        lines = [line.strip() for line in str(error).splitlines() if "Error: " in line and "ray." not in line]
        said = lines[-1] if lines else ""
    return f"a worker could not start there ({said.rstrip('.')})" if said else None
