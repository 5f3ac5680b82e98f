"""Spill store of a node that does not see the run folder: an actor on the master's node writes for it."""

from dataclasses import replace
from typing import Any

import ray
from ray import cloudpickle

from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.contracts.spill_store import SpillStore
from elastic.core.errors import ElasticError, StoreError
from elastic.core.program import Program
from elastic.stages.ray_backend.ray_errors import describe_ray_error
from elastic.stages.ray_backend.startup.code_shipping import DriverCode

#: Outcome of a merge job, the first element of its reply.
DONE, NO_ACCESS, FAILED = "done", "no access", "failed"


class RaySpillStore(SpillStore):
    """Write-only spill store that sends blocks to the master's node.

    Args:
        actor: Handle of a `SpillActor`.
    """

    writable = True
    readable = False

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def append(self, data: bytes) -> tuple[str, int]:
        try:
            location: tuple[str, int] = ray.get(self._actor.append.remote(data))
        except ray.exceptions.RayTaskError as error:
            raise StoreError(str(error.cause)) from error
        except ray.exceptions.RayError as error:
            reason = describe_ray_error(error)
            raise StoreError(
                f"part of the result was not spilled on the master's node ({reason}); resume it."
            ) from error
        return location

    def sync(self) -> None:
        """Do nothing: each `append` waits until the actor has synced the data."""

    def read(self, name: str, start: int, size: int) -> bytes:
        raise StoreError(f"{name} is on the master's node.")

    def create(self, kind: str) -> Any:
        raise StoreError("result files can only be created on a node that sees the run folder.")


class SpillActor:
    """Actor on the master's node: spills for nodes without the run folder, and merges shards that no worker can."""

    def start(self, program: bytes, code: DriverCode) -> None:
        """Load the program; called once."""
        code.install()
        loaded: Program = cloudpickle.loads(program)
        self._program = loaded

    def append(self, data: bytes) -> tuple[str, int]:
        aggregator = self._program.aggregator
        if not isinstance(aggregator, ShardedAggregator):
            raise StoreError(f"{aggregator} has no spill store.")
        location = aggregator.spill_store.append(data)
        aggregator.spill_store.sync()
        return location

    def reduce(self, job: bytes) -> tuple[str, Any]:
        return reduce_job(self._program, job)


def with_spill_store(program: Program, actor: Any) -> Program:
    """Return a program for one node, with a `RaySpillStore` if the node does not see the run folder.

    Args:
        program: The program of the step.
        actor: Handle of a `SpillActor`; None on the master's own node.
    """
    aggregator = program.aggregator
    if actor is None or not isinstance(aggregator, ShardedAggregator) or aggregator.spill_store.writable:
        return program
    return replace(program, aggregator=aggregator.with_spill_store(RaySpillStore(actor)))


def reduce_job(program: Program, job: bytes) -> tuple[str, Any]:
    """Run a merge job of a sharded result.

    Errors of user code come back as text, because the master may be unable to unpickle their classes.

    Returns:
        DONE and the encoded reply, NO_ACCESS (this process does not see the files), or FAILED and the error.
    """
    aggregator = program.aggregator
    if not isinstance(aggregator, ShardedAggregator) or not aggregator.can_reduce:
        return NO_ACCESS, b""
    try:
        return DONE, aggregator.reduce(job)
    except ElasticError as error:
        return FAILED, error
    except (Exception, SystemExit) as error:
        message = f"aggregator {aggregator} failed on the result: {type(error).__name__}: {error}"
        return FAILED, ElasticError(message)
