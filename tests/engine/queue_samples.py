"""Steps for tests of the queue."""

import threading
from collections.abc import Iterator

import elastic
from elastic.aggregators import Sum


def adding(*numbers: int, **options: str) -> elastic.Step:
    """Return a step whose result is the sum of some numbers."""
    return elastic.from_iterable(list(numbers), chunk_size=1).aggregate(Sum()).step(cluster="inline", **options)


def failing() -> elastic.Step:
    """Return a step that starts and fails."""
    return elastic.from_range(3).map(lambda number: 1 / number).step(cluster="inline", name="failing")


def hopeless() -> elastic.Step:
    """Return a step that cannot start."""
    return elastic.from_range(3).step(cluster="nowhere", name="hopeless")


class Held:
    """A step that waits until the test releases it."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def step(self, *, endless: bool = False) -> elastic.Step:
        def numbers() -> Iterator[int]:
            yield 1
            self.begun.set()
            self.go_on.wait(60)
            yield 2
            while endless:
                yield 0

        flow = elastic.from_iterable(numbers(), chunk_size=1).aggregate(Sum())
        return flow.step(cluster="inline", name="held", max_chunks_in_flight=3)
