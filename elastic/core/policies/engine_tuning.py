"""Tuning of the engine: values with defaults, validated on construction."""

from dataclasses import dataclass
from typing import cast

from elastic.core.errors import UsageError

#: Former names of the parameters, with the name that replaces each.
FORMER_NAMES = {
    "look_ahead": "max_chunks_in_flight",
    "look_ahead_bytes": "max_bytes_in_flight",
    "call_seconds": "target_call_seconds",
    "call_chunks": "max_chunks_per_call",
    "call_bytes": "max_bytes_per_call",
    "collect_seconds": "collect_interval",
    "commit_seconds": "commit_interval",
    "speculate_seconds": "speculation_timeout",
    "full_disk_seconds": "disk_full_timeout",
    "max_attempts": "max_worker_losses",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTuning:
    """Tuning parameters of a run."""

    #: Target seconds of work per call; the engine sizes batches accordingly.
    target_call_seconds: float = 0.05
    #: Maximum chunks per call.
    max_chunks_per_call: int = 4096
    #: Maximum payload bytes per call, and of the chunks that wait to be sent.
    max_bytes_per_call: int = 8 << 20
    #: Calls in flight per worker: the worker processes one while the next one waits in its queue.
    calls_per_worker: int = 2
    #: Maximum number of chunks that are cut and not folded.
    max_chunks_in_flight: int = 65_536
    #: Maximum payload bytes of chunks that are cut and not folded.
    max_bytes_in_flight: int = 256 << 20
    #: Minimum seconds between collections of a worker's state, so that result and commits advance; up to 30 if a
    #: collection takes long.
    collect_interval: float = 1.0
    #: Seconds between commits.
    commit_interval: float = 0.05
    #: Seconds to wait for the first worker. Ray gives up an embedded start after 30 and a worker's process after 60, so
    #: 120 leave time for a second attempt of each on a busy machine.
    start_timeout: float = 120.0
    #: Start a speculative copy of a call that runs longer than this (seconds) and 3x the typical time, once no other
    #: work is queued. The first result wins.
    speculation_timeout: float = 10.0
    #: Seconds to wait for space on a full disk once no work is in flight that could free some; then the run is
    #: suspended.
    disk_full_timeout: float = 60.0
    #: Number of times that a chunk may be lost with its worker before the step fails.
    max_worker_losses: int = 8

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value: object = getattr(self, name)
            whole = isinstance(self.__dataclass_fields__[name].default, int)
            kinds: tuple[type, ...] = (int,) if whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not cast("float", value) > 0:
                kind = "whole number" if whole else "number"
                raise UsageError(f"{name}={value!r} must be a {kind} above 0.")
