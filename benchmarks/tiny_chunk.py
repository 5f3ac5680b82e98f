"""W3: chunks of one integer, squared and added: what a chunk costs."""

from functools import partial

import elastic
from benchmarks.engine import actors_of, feed
from benchmarks.workload import Attempt, Check, Contender, Workload

PLAIN = "python: loop"


def square(number: int) -> int:
    return number * number


def check(size: int, total: int) -> Check:
    """Describe a sum so that all sizes describe theirs in the same way: by how far it is off."""
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
    """An actor that works on one integer, or on several at once."""

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


def _contender(engine: str, name: str, carry_out: object, fraction: int = 1) -> Contender:
    return Contender(name=name, engine=engine, carry_out=carry_out, baseline=PLAIN, fraction=fraction)


_OURS = (
    _contender("python", "loop", plain),
    _contender("elastic inline", "chunks of one", partial(ours, "inline")),
    _contender("elastic local", "chunks of one", partial(ours, "local")),
)
_PEERS = (
    _contender("pool", "imap_unordered, one at a time", partial(pool, 1)),
    _contender("pool", "imap_unordered, 100 at a time", partial(pool, 100)),
    _contender("ray", "actors, a window of 16 calls each", ray_window, fraction=5),
    _contender("ray", "ActorPool", ray_actor_pool, fraction=5),
    _contender("ray", "actors, 100 at a time", ray_batches),
    _contender("ray data", "map, sum, blocks as it likes", ray_data),
    _contender("dask", "futures", dask, fraction=20),
    _contender("pyspark", "a partition each", spark, fraction=100),
)
_NOTES = (
    "Those that would take minutes do a part of the work; the rates can be compared. Receipts are made, and commits "
    "are on, in ours only.",
)

TEN_THOUSAND = Workload(
    key="W3-small",
    title="10,000 chunks of one integer",
    unit="chunks",
    full=10_000,
    quick=200,
    contenders=_OURS,
    notes=("What W3 is compared with for the growth of time and memory with the number of chunks.",),
)
HUNDRED_THOUSAND = Workload(
    key="W3",
    title="100,000 chunks of one integer",
    unit="chunks",
    full=100_000,
    quick=2_000,
    contenders=(*_OURS, *_PEERS),
    notes=_NOTES,
)
MILLION = Workload(
    key="W3-large",
    title="1,000,000 chunks of one integer",
    unit="chunks",
    full=1_000_000,
    quick=20_000,
    contenders=(*_OURS, *_PEERS[:2]),
)
