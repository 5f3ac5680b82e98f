"""Faults: decided by a seeded random generator, and counted by kind."""

import random
from collections import Counter


class Crash(BaseException):
    """End of the simulated process of a master; its code must not catch this."""


class Weather:
    """Decides the faults; the same seed makes the same decisions.

    Args:
        seed: Seed of the random generator.
        rate: Probability of each possible fault, from 0 to 1.
    """

    #: number of masters after which no more faults occur, so that the run ends
    MOST_MASTERS = 12

    def __init__(self, seed: int, rate: float) -> None:
        self.rng = random.Random(seed)
        self.rate = rate
        self.faults: Counter[str] = Counter()
        #: faults that justify an error of the current master
        self.fatal: list[str] = []
        self.masters = 0

    def strikes(self, kind: str, share: float = 1.0) -> bool:
        """Return whether a fault occurs, and count it if so."""
        if self.rng.random() >= self.rate * share:
            return False
        self.faults[kind] += 1
        return True

    def ends_master(self, kind: str, share: float) -> bool:
        """As `strikes`, for faults that end the master, whose number is limited."""
        return self.masters < self.MOST_MASTERS and self.strikes(kind, share)

    def refuses(self, kind: str, share: float) -> bool:
        """As `ends_master`, for faults that are reported to the master, which must then end its step."""
        if not self.ends_master(kind, share):
            return False
        self.fatal.append(kind)
        return True

    def may_crash(self, where: str, share: float = 0.01) -> None:
        """End the master, or not.

        Raises:
            Crash: The master ends.
        """
        if self.ends_master(f"master killed {where}", share):
            raise Crash(where)


class SimulatedClock:
    """A clock that only the simulation advances."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return 1_700_000_000.0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds
