"""Fault injection: the faults, their rates and seeded random numbers; `elastic.stages.transport.chaos` injects them."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.suggest import did_you_mean


class Fault(StrEnum):
    """Kind of injected fault."""

    RAISE = "raise"  #: The sender, or a node's receiver, raises: the call is lost before any work.
    HANG = "hang"  #: A worker process freezes for longer than the heartbeat timeout.
    KILL_WORKER = "kill-worker"  #: A worker process is killed.
    KILL_SENDER = "kill-sender"  #: A node's sender dies while it sends a reply.
    KILL_RECEIVER = "kill-receiver"  #: A node's receiver dies when a call arrives.
    KILL_NODE = "kill-node"  #: All processes of another node are killed at once.
    KILL_MASTER = "kill-master"  #: The master process is killed, and the run is resumed.
    DROP = "drop"  #: A reply is lost: the work was done, but the master does not know.
    DUPLICATE = "duplicate"  #: A reply arrives twice, the second time a little later.
    SLOW = "slow"  #: A reply arrives late.
    CORRUPT = "corrupt"  #: A byte of a returned result is changed in transit.

    @property
    def counter(self) -> str:
        """Name of its counter in a result."""
        return f"chaos_{self.value.replace('-', '_')}"


#: Faults that affect only calls and replies, so every transport supports them.
CARRIED = (Fault.RAISE, Fault.DROP, Fault.DUPLICATE, Fault.SLOW, Fault.CORRUPT)

#: Faults that take seconds each, because processes must be detected as dead, killed or started.
COSTLY = (Fault.HANG, Fault.KILL_WORKER, Fault.KILL_SENDER, Fault.KILL_RECEIVER, Fault.KILL_NODE)

#: ElasticFlow's scale: from 1 (most frequent) to 45; 46 means never.
_CALM = 46
_SCALE = 100


class KillPoint(StrEnum):
    """Stage of a chunk at which a master is killed."""

    SENT = "sent"  #: The chunk is about to leave the master.
    RETURNED = "returned"  #: Its result has arrived, and the ledger has not processed it.
    FOLDED = "folded"  #: It is folded; the commit may have been written or not.


@dataclass(frozen=True, slots=True)
class MasterKill:
    """Chunk and stage at which a master process is killed."""

    chunk_id: int
    moment: KillPoint

    @classmethod
    def drawn(cls, seed: str, low: int, chunks: int) -> "MasterKill":
        """Return a seeded random kill point of one of the chunks `[low, chunks)`."""
        dice = random.Random(seed)  # noqa: S311 - no secret
        return cls(dice.randrange(low, max(chunks, low + 1)), dice.choice(list(KillPoint)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """Configuration of fault injection: the faults, their rate and their seed.

    Raises:
        UsageError: A fault is unknown, or a number is out of its range.
    """

    spirits: tuple[Fault, ...] = CARRIED
    #: Equal seeds give equal random numbers for each fault; the times of calls and replies still vary.
    seed: int = 0
    #: Probability of a fault at each occasion, from 0 to 1.
    rate: float = 0.05
    #: Maximum number of injections of each fault that kills or freezes processes (`COSTLY`).
    most: int = 3
    #: When to kill the master process, used by chaos rounds only; None for never.
    doom: MasterKill | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "spirits", tuple(dict.fromkeys(map(_spirit, self.spirits))))
        if not self.spirits and self.doom is None:
            raise UsageError(f"chaos needs a spirit at least; they are {_names(Fault)}.")
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 <= self.rate <= 1:
            raise UsageError(f"rate={self.rate!r} of chaos must be a number from 0 to 1.")
        for name in ("seed", "most"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise UsageError(f"{name}={getattr(self, name)!r} of chaos must be a whole number from 0.")

    def __str__(self) -> str:
        return f"{_names(self.spirits)} (seed {self.seed}, rate {self.rate:g})"


def chaos_of(value: Any) -> Chaos | None:
    """Return the chaos of a user's option: a Chaos, names of faults, a number on ElasticFlow's scale, or None.

    Raises:
        UsageError: The value is none of these.
    """
    if value is None or isinstance(value, Chaos):
        return value
    if isinstance(value, str):
        return Chaos(spirits=spirits_of(value))
    return chaos_of_spirits(value)


def chaos_of_spirits(number: Any) -> Chaos | None:
    """Return the chaos of ElasticFlow's `chaos_spirits`: the rate at which sender and receiver raise.

    ElasticFlow draws a whole number from `number` to 99 and raises below 46; so 46 never raises and gives None.

    Raises:
        UsageError: The value is not a whole number from 1 to 46.
    """
    if type(number) is not int or not 1 <= number <= _CALM:
        raise UsageError(
            f"chaos={number!r} must be a whole number from 1 (wild) to 46 (never), names of spirits, or a Chaos."
        )
    if number == _CALM:
        return None
    return Chaos(spirits=(Fault.RAISE,), rate=(_CALM - number) / (_SCALE - number))


def spirits_of(names: str) -> tuple[Fault, ...]:
    """Return the faults named by a string such as `raise,drop`.

    Raises:
        UsageError: A fault is unknown; the message suggests the nearest one.
    """
    return tuple(_spirit(name.strip()) for name in names.split(","))


class FaultRng:
    """Random numbers of fault injection, with an independent generator for each fault."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        # String seeds give the same numbers in every process.
        self._dice = {spirit: random.Random(f"{chaos.seed} {spirit}") for spirit in chaos.spirits}  # noqa: S311 - no secret
        #: Number of injections of each fault; the injecting code updates it.
        self.struck: Counter[Fault] = Counter()

    def falls(self, spirit: Fault) -> bool:
        """Return True if a fault must be injected at this occasion."""
        dice = self._dice.get(spirit)
        if dice is None or (spirit in COSTLY and self.struck[spirit] >= self._chaos.most):
            return False
        return dice.random() < self._chaos.rate

    def below(self, spirit: Fault, count: int) -> int:
        """Return a number in `[0, count)`: which of several targets the fault affects."""
        return self._dice[spirit].randrange(count)

    def delay(self, spirit: Fault, longest: float) -> float:
        """Return a delay in seconds, at most `longest`."""
        return self._dice[spirit].uniform(0, longest)


def _spirit(name: Any) -> Fault:
    if name in list(Fault):
        return Fault(name)
    hint = did_you_mean(str(name), [fault.value for fault in Fault], f"they are {_names(Fault)}.")
    raise UsageError(f"there is no spirit {name!r}; {hint}")


def _names(spirits: Iterable[Fault]) -> str:
    return ",".join(spirit.value for spirit in spirits)
