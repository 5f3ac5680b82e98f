"""Chaos: spirits that strike a run on purpose, by seeded dice. What they do is in `elastic.stages.transport.chaos`."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.suggest import did_you_mean


class Fault(StrEnum):
    """What can befall a run."""

    RAISE = "raise"  #: the sender, or the receiver of a node, raises: the call is lost before any work
    HANG = "hang"  #: a worker's process stops for longer than the heartbeat waits
    KILL_WORKER = "kill-worker"  #: a worker's process is killed
    KILL_SENDER = "kill-sender"  #: the sender of a node ends as it sends an answer
    KILL_RECEIVER = "kill-receiver"  #: the receiver of a node ends as a call arrives
    KILL_NODE = "kill-node"  #: all processes of another node are killed at once
    KILL_MASTER = "kill-master"  #: the master's process is killed, and the run is resumed
    DROP = "drop"  #: an answer is lost: the work was done, but nobody knows
    DUPLICATE = "duplicate"  #: an answer arrives twice, the second time a little later
    SLOW = "slow"  #: an answer arrives later
    CORRUPT = "corrupt"  #: a byte of a returned result is changed on its way

    @property
    def counter(self) -> str:
        """The name under which its strikes are counted in a result."""
        return f"chaos_{self.value.replace('-', '_')}"


#: Spirits that need nothing but calls and answers, so they strike on every transport.
CARRIED = (Fault.RAISE, Fault.DROP, Fault.DUPLICATE, Fault.SLOW, Fault.CORRUPT)

#: Spirits after which processes must be found out about, ended or started, which takes seconds.
COSTLY = (Fault.HANG, Fault.KILL_WORKER, Fault.KILL_SENDER, Fault.KILL_RECEIVER, Fault.KILL_NODE)

#: ElasticFlow's scale: from 1, where spirits are wild, to 45; 46 and they never come.
_CALM = 46
_SCALE = 100


class KillPoint(StrEnum):
    """When a master ends, on the way of a chunk."""

    SENT = "sent"  #: the chunk is about to leave the master
    RETURNED = "returned"  #: its result has arrived, and nobody has been told
    FOLDED = "folded"  #: it is in the result; the commit may have been made or not


@dataclass(frozen=True, slots=True)
class MasterKill:
    """The moment at which a master's process is killed."""

    chunk_id: int
    moment: KillPoint

    @classmethod
    def drawn(cls, seed: str, low: int, chunks: int) -> "MasterKill":
        """Return a moment on the way of one of the chunks from `low` to below `chunks`, as the seed says."""
        dice = random.Random(seed)  # noqa: S311 - no secret
        return cls(dice.randrange(low, max(chunks, low + 1)), dice.choice(list(KillPoint)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """Which spirits strike a run, and how often.

    Raises:
        UsageError: A spirit is unknown, or a number is out of its range.
    """

    spirits: tuple[Fault, ...] = CARRIED
    #: the same seed rolls the same dice, spirit by spirit; when calls and answers come is not in its hand
    seed: int = 0
    #: how likely a spirit strikes at each occasion, from 0 to 1
    rate: float = 0.05
    #: how often each spirit strikes at most that ends or freezes processes (`COSTLY`)
    most: int = 3
    #: when the master's own process is killed, which only rounds of chaos do; None for never
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
    """Return chaos for what users give: itself, names of spirits, a number of ElasticFlow's, or None for none.

    Raises:
        UsageError: It is none of these.
    """
    if value is None or isinstance(value, Chaos):
        return value
    if isinstance(value, str):
        return Chaos(spirits=spirits_of(value))
    return chaos_of_spirits(value)


def chaos_of_spirits(number: Any) -> Chaos | None:
    """Return chaos for a number of ElasticFlow's `chaos_spirits`: sender and receiver each raise as likely as it says.

    Of the whole numbers from `number` to 99, all alike, those below 46 raise; so 46 is calm, and None is returned.

    Raises:
        UsageError: It is no whole number from 1 to 46.
    """
    if type(number) is not int or not 1 <= number <= _CALM:
        raise UsageError(
            f"chaos={number!r} must be a whole number from 1 (wild) to 46 (never), names of spirits, or a Chaos."
        )
    if number == _CALM:
        return None
    return Chaos(spirits=(Fault.RAISE,), rate=(_CALM - number) / (_SCALE - number))


def spirits_of(names: str) -> tuple[Fault, ...]:
    """Return the spirits of a text such as `raise,drop`.

    Raises:
        UsageError: One of them is unknown; the nearest one is told.
    """
    return tuple(_spirit(name.strip()) for name in names.split(","))


class FaultRng:
    """Decides when spirits strike, and how; each spirit has dice of its own."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        # Seeded with texts, whose dice are the same in every process.
        self._dice = {spirit: random.Random(f"{chaos.seed} {spirit}") for spirit in chaos.spirits}  # noqa: S311 - no secret
        #: how often each has struck; counted by whoever carried it out
        self.struck: Counter[Fault] = Counter()

    def falls(self, spirit: Fault) -> bool:
        """Say whether a spirit strikes at this occasion of its."""
        dice = self._dice.get(spirit)
        if dice is None or (spirit in COSTLY and self.struck[spirit] >= self._chaos.most):
            return False
        return dice.random() < self._chaos.rate

    def below(self, spirit: Fault, count: int) -> int:
        """Return a number from 0 to below `count`: which of several it strikes."""
        return self._dice[spirit].randrange(count)

    def delay(self, spirit: Fault, longest: float) -> float:
        """Return seconds, up to `longest`, by which something is late."""
        return self._dice[spirit].uniform(0, longest)


def _spirit(name: Any) -> Fault:
    if name in list(Fault):
        return Fault(name)
    hint = did_you_mean(str(name), [fault.value for fault in Fault], f"they are {_names(Fault)}.")
    raise UsageError(f"there is no spirit {name!r}; {hint}")


def _names(spirits: Iterable[Fault]) -> str:
    return ",".join(spirit.value for spirit in spirits)
