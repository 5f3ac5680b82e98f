"""What goes wrong: decided by a seeded die, and counted by kind."""

import random
from collections import Counter


class Crash(BaseException):
    """The simulated process of a master ends here; nothing of it may catch this."""


class Weather:
    """Decides what goes wrong; the same seed decides the same.

    Args:
        seed: Of the die.
        rate: How often what may go wrong does, from 0 to 1.
    """

    #: a run is not disturbed any more after so many masters, so that it comes to its end
    MOST_MASTERS = 12

    def __init__(self, seed: int, rate: float) -> None:
        self.dice = random.Random(seed)
        self.rate = rate
        self.faults: Counter[str] = Counter()
        #: faults that are a good reason for the master of this time to end its step in error
        self.fatal: list[str] = []
        self.masters = 0

    def strikes(self, kind: str, share: float = 1.0) -> bool:
        """Tell whether a fault happens here, and count it if so."""
        if self.dice.random() >= self.rate * share:
            return False
        self.faults[kind] += 1
        return True

    def ends_master(self, kind: str, share: float) -> bool:
        """As `strikes`, for faults that end the master, which must not happen for ever."""
        return self.masters < self.MOST_MASTERS and self.strikes(kind, share)

    def refuses(self, kind: str, share: float) -> bool:
        """As `ends_master`, for faults that the master is told of, and must end its step for."""
        if not self.ends_master(kind, share):
            return False
        self.fatal.append(kind)
        return True

    def may_crash(self, where: str, share: float = 0.01) -> None:
        """End the master here, if it is to be.

        Raises:
            Crash: It is.
        """
        if self.ends_master(f"master killed {where}", share):
            raise Crash(where)


class SimulatedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return 1_700_000_000.0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds
