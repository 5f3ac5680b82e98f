"""Arguments of the actors of a step, and the version check of their first reply."""

import platform
from dataclasses import dataclass
from typing import Any

import ray

from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.errors import NodeRefusedError
from elastic.core.policies.worker_starts import WorkerStarts
from elastic.core.program import Program
from elastic.stages.ray_backend.startup.code_shipping import DriverCode
from elastic.version import __version__


@dataclass(frozen=True, slots=True)
class ActorPayload:
    """Arguments with which a node starts its actors."""

    program: Program
    #: `program`, pickled for another process.
    pickled: bytes
    #: Modules beside the driver script.
    code: DriverCode
    heartbeat: Heartbeat
    #: Back-off of failed starts, shared by all nodes.
    starts: WorkerStarts
    #: Actor that spills for nodes that do not see the run folder; None on the master's node and for other aggregators.
    spill_actor: Any = None


def versions() -> dict[str, str]:
    """Return the versions that must be equal on all nodes."""
    return {"Elastic": __version__, "Ray": ray.__version__, "Python": platform.python_version()}


def read_greeting(greeting: Any, node_id: str) -> tuple[int, str]:
    """Return the process id and the heartbeat file from an actor's reply to `greet`.

    Raises:
        NodeRefusedError: The actor runs other versions.
        RayError: The actor did not reply.
    """
    theirs, process_id, heartbeat_file = ray.get(greeting)
    for name, ours in versions().items():
        if theirs[name] != ours:
            reason = f"it has {name} {theirs[name]} and this one {ours}; install the same version on all nodes"
            raise NodeRefusedError(node_id, reason)
    return process_id, heartbeat_file
