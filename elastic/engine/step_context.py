"""Step context: the parts and policies with which a master runs its step."""

from dataclasses import dataclass
from typing import Any

from elastic.core.clock import Clock
from elastic.core.contracts.source import Source
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.program import Program
from elastic.engine.aggregation import Aggregation
from elastic.engine.placement import CheckedPlacement


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """Parts and policies with which a master runs one step."""

    name: str
    source: Source
    program: Program
    tuning: EngineTuning
    placement: CheckedPlacement
    clock: Clock
    #: Plain data that describes the step; the run store keeps it.
    manifest: dict[str, Any]
    aggregation: Aggregation
