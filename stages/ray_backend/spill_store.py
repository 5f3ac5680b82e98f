"""The depot of a node that does not see the folder of the run: an actor on the master's node, which does."""

from dataclasses import replace
from typing import Any

import ray
from ray import cloudpickle

from elastic.core.contracts.keyed_aggregator import ShardedAggregator
from elastic.core.contracts.spill_store import SpillStore
from elastic.core.errors import ElasticError, StoreError
from elastic.core.program import Program
from elastic.stages.ray_backend.code_shipping import DriverCode
from elastic.stages.ray_backend.ray_errors import describe_ray_error

#: How the answer to a job begins.
DONE, BLIND, FAILED = "done", "blind", "failed"


class RayDepot(SpillStore):
    """Leaves in the depot of another node.

    Args:
        actor: Of class `DepotActor`.
    """

    writable = True
    readable = False

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def append(self, data: bytes) -> tuple[str, int]:
        try:
            place: tuple[str, int] = ray.get(self._actor.append.remote(data))
        except ray.exceptions.RayTaskError as error:
            raise StoreError(str(error.cause)) from error
        except ray.exceptions.RayError as error:
            raise StoreError(
                f"a part of the result could not be left on the master's node ({describe_ray_error(error)}); resume it."
            ) from error
        return place

    def settle(self) -> None:
        """Nothing is left to do, because each `append` waits for it."""

    def read(self, name: str, start: int, size: int) -> bytes:
        raise StoreError(f"{name} is on the master's node.")

    def create(self, kind: str) -> Any:
        raise StoreError("a result is made where the folder of the run is seen.")


class DepotActor:
    """Writes for nodes that do not see the folder of the run, and does what none of them can."""

    def start(self, program: bytes, code: DriverCode) -> None:
        """Load the program; called once."""
        code.install()
        loaded: Program = cloudpickle.loads(program)
        self._program = loaded

    def append(self, data: bytes) -> tuple[str, int]:
        aggregator = self._program.aggregator
        if not isinstance(aggregator, ShardedAggregator):
            raise StoreError(f"{aggregator} has no depot.")
        place = aggregator.depot.append(data)
        aggregator.depot.settle()
        return place

    def reduce(self, job: bytes) -> tuple[str, Any]:
        return reduced(self._program, job)


def with_spill_store(program: Program, actor: Any) -> Program:
    """Return a program as a node has it: with another depot where the folder of the run is not seen.

    Args:
        program: What is run.
        actor: Of class `DepotActor`; None on the master's own node.
    """
    aggregator = program.aggregator
    if actor is None or not isinstance(aggregator, ShardedAggregator) or aggregator.depot.writable:
        return program
    return replace(program, aggregator=aggregator.at(RayDepot(actor)))


def reduced(program: Program, job: bytes) -> tuple[str, Any]:
    """Do a job of a wide result, and return how that went: DONE and the answer, BLIND, or FAILED and why.

    What user code raises comes back as a text, because its class may not exist where it would be caught.
    """
    aggregator = program.aggregator
    if not isinstance(aggregator, ShardedAggregator) or not aggregator.can_reduce:
        return BLIND, b""
    try:
        return DONE, aggregator.reduce(job)
    except ElasticError as error:
        return FAILED, error
    except (Exception, SystemExit) as error:
        text = f"aggregator {aggregator} failed on the result: {type(error).__name__}: {error}"
        return FAILED, ElasticError(text)
