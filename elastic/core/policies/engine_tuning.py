"""How a run is carried out: values with defaults, checked when they are given."""

from dataclasses import dataclass
from typing import cast

from elastic.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTuning:
    """The settings of a run."""

    #: seconds of work that one call should carry; chunks are packed into calls accordingly
    target_call_seconds: float = 0.05
    #: chunks in one call, at most
    max_chunks_per_call: int = 4096
    #: bytes of payload in one call, and of chunks waiting to be sent, at most
    max_bytes_per_call: int = 8 << 20
    #: calls given to a worker before it has answered the first: one works, the next one waits beside it
    calls_per_worker: int = 2
    #: chunks that have been cut and not yet folded, at most
    max_chunks_in_flight: int = 65_536
    #: bytes of payload of chunks that have been cut and not yet folded, at most
    max_bytes_in_flight: int = 256 << 20
    #: seconds after which a worker's state is collected, so that the result and the commit move on; more, up to 30,
    #: where a collection takes long
    collect_interval: float = 1.0
    #: seconds between commits
    commit_interval: float = 0.05
    #: seconds to wait for the first worker
    start_timeout: float = 30.0
    #: seconds after which a call that takes three times as long as others is given to a second worker as well, once
    #: there is nothing else to do; the first result counts
    speculation_timeout: float = 10.0
    #: seconds to wait for room on a full disk once nothing is left in flight that could make some; then the run is
    #: suspended
    disk_full_timeout: float = 60.0
    #: times that a chunk may be lost with its worker before the step fails
    max_worker_losses: int = 8

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value: object = getattr(self, name)
            whole = isinstance(self.__dataclass_fields__[name].default, int)
            kinds: tuple[type, ...] = (int,) if whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not cast("float", value) > 0:
                kind = "whole number" if whole else "number"
                raise UsageError(f"{name}={value!r} must be a {kind} above 0.")
