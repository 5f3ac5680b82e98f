"""W3: cost of a chunk, with chunks of one integer that is squared and added."""

from collections.abc import Callable
from functools import partial

import elastic
from benchmarks.engine import actors_of, feed
from benchmarks.workload import Attempt, Check, Contender, Workload

PLAIN = "python: loop"


def square(number: int) -> int:
    return number * number


def check(size: int, total: int) -> Check:
    """Describe a sum by its difference from the expected one, so that all sizes compare."""
    return {"off by": int(total) - (size - 1) * size * (2 * size - 1) // 6}


def ours(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        squares = elastic.from_range(attempt.size, chunk_size=1).map(square).aggregate("sum")
        total = squares.run(cluster=cluster).value
    return check(attempt.size, total)


def plain(attempt: Attempt) -> Check:
    with attempt.timed():
        total = 0
        for number in range(attempt.size):
            total += square(number)
    return check(attempt.size, total)


def pool(at_once: int, attempt: Attempt) -> Check:
    with attempt.timed():
        total = sum(attempt.session.imap_unordered(square, range(attempt.size), chunksize=at_once))
    return check(attempt.size, total)


class Squaring:
    """Actor that processes one integer or several."""

    def square(self, number: int) -> int:
        return square(number)

    def squares(self, numbers: list[int]) -> int:
        return sum(map(square, numbers))


def ray_window(attempt: Attempt) -> Check:
    actors = actors_of(attempt.session, Squaring)
    with attempt.timed():
        answers = feed(attempt.session, actors, range(attempt.size), lambda a, n: a.square.remote(n), depth=16)
        total = sum(answers)
    return check(attempt.size, total)


def ray_actor_pool(attempt: Attempt) -> Check:
    from ray.util import ActorPool

    actors = actors_of(attempt.session, Squaring)
    with attempt.timed():
        total = sum(ActorPool(actors).map_unordered(lambda a, n: a.square.remote(n), range(attempt.size)))
    return check(attempt.size, total)


def ray_batches(attempt: Attempt) -> Check:
    actors = actors_of(attempt.session, Squaring)
    with attempt.timed():
        batches = (list(range(n, min(n + 100, attempt.size))) for n in range(0, attempt.size, 100))
        total = sum(feed(attempt.session, actors, batches, lambda a, numbers: a.squares.remote(numbers)))
    return check(attempt.size, total)


def ray_data(attempt: Attempt) -> Check:
    with attempt.timed():
        total = attempt.session.range(attempt.size).map(_square_row).sum("square")
    return check(attempt.size, total)


def _square_row(row: dict[str, int]) -> dict[str, int]:
    return {"square": square(row["id"])}


def dask(attempt: Attempt) -> Check:
    client = attempt.session
    with attempt.timed():
        total = sum(client.gather(client.map(square, range(attempt.size), pure=False)))
    return check(attempt.size, total)


def spark(attempt: Attempt) -> Check:
    with attempt.timed():
        numbers = attempt.session.sparkContext.parallelize(range(attempt.size), attempt.size)
        total = numbers.map(square).sum()
    return check(attempt.size, total)


def _contender(engine: str, name: str, carry_out: Callable[[Attempt], Check], fraction: int = 1) -> Contender:
    return Contender(name=name, engine=engine, carry_out=carry_out, baseline=PLAIN, fraction=fraction)


_ROWS = (
    _contender("python", "loop", plain),
    _contender("elastic inline", "chunks of one", partial(ours, "inline")),
    _contender("elastic local", "chunks of one", partial(ours, "local")),
    _contender("pool", "imap_unordered, one at a time", partial(pool, 1)),
    _contender("pool", "imap_unordered, 100 at a time", partial(pool, 100)),
    _contender("ray", "actors, a window of 16 calls each", ray_window, fraction=5),
    _contender("ray", "ActorPool", ray_actor_pool, fraction=5),
    _contender("ray", "actors, 100 at a time", ray_batches),
    _contender("ray data", "map, sum, blocks as it likes", ray_data),
    _contender("dask", "futures", dask, fraction=20),
    _contender("pyspark", "a partition each", spark, fraction=100),
)

TINY_CHUNKS = Workload(
    key="W3",
    title="Chunks of one integer",
    unit="chunks",
    full=100_000,
    contenders=_ROWS,
    notes=(
        "Those that would take minutes do a part of the work; the rates can be compared. Receipts are made, and "
        "commits are on, in ours only.",
    ),
)
