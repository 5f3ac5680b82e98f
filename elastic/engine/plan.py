"""The plan: what a master needs to know about its step."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from elastic.core.clock import Clock
from elastic.core.contracts.source import Source
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.program import Program
from elastic.engine.aggregation import Aggregation
from elastic.engine.placement import GuardedPlacement


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a master needs to know about its step."""

    name: str
    source: Source
    program: Program
    settings: EngineTuning
    placement: GuardedPlacement
    clock: Clock
    #: plain data that describes the step, kept with the run
    manifest: dict[str, Any]
    aggregation: Aggregation
    #: what earlier masters have folded, in their order
    states: Iterable[bytes] = ()
