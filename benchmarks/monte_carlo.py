"""W4: Monte Carlo estimate of pi in pure Python: CPU-bound work."""

import random
from functools import partial

import elastic
from benchmarks.engine import actors_of, feed
from benchmarks.workload import Attempt, Check, Contender, Workload

PLAIN = "python: loop"

CHUNKS = 64


def hits(points: int, seed: int) -> int:
    """Return the number of random points of the square that are within the circle."""
    number = random.Random(seed).random
    inside = 0
    for _ in range(points):
        x, y = number(), number()
        inside += x * x + y * y <= 1.0
    return inside


def _work(attempt: Attempt) -> "partial[int]":
    return partial(hits, attempt.size // CHUNKS)


def ours(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        inside = elastic.from_range(CHUNKS, chunk_size=1).map(_work(attempt)).aggregate("sum").run(cluster=cluster)
    return {"inside": inside.value}


def ours_again(cluster: str, attempt: Attempt) -> Check:
    elastic.from_range(CHUNKS, chunk_size=1).aggregate("sum").run(cluster=cluster)
    return ours(cluster, attempt)


def plain(attempt: Attempt) -> Check:
    with attempt.timed():
        inside = sum(map(_work(attempt), range(CHUNKS)))
    return {"inside": inside}


def pool(attempt: Attempt) -> Check:
    with attempt.timed():
        inside = sum(attempt.session.imap_unordered(_work(attempt), range(CHUNKS)))
    return {"inside": inside}


def ray_tasks(attempt: Attempt) -> Check:
    ray, points = attempt.session, attempt.size // CHUNKS
    task = ray.remote(hits)
    with attempt.timed():
        inside = sum(ray.get([task.remote(points, seed) for seed in range(CHUNKS)]))
    return {"inside": inside}


class Throwing:
    """Actor that counts random points."""

    def hits(self, points: int, seed: int) -> int:
        return hits(points, seed)


def ray_actors(attempt: Attempt) -> Check:
    ray, points = attempt.session, attempt.size // CHUNKS
    actors = actors_of(ray, Throwing)
    with attempt.timed():
        inside = sum(feed(ray, actors, range(CHUNKS), lambda actor, seed: actor.hits.remote(points, seed)))
    return {"inside": inside}


def ray_data(attempt: Attempt) -> Check:
    work = _work(attempt)
    with attempt.timed():
        seeds = attempt.session.range(CHUNKS, override_num_blocks=CHUNKS)
        inside = seeds.map(lambda row: {"inside": work(int(row["id"]))}).sum("inside")
    return {"inside": int(inside)}


def dask(attempt: Attempt) -> Check:
    with attempt.timed():
        inside = sum(attempt.session.gather(attempt.session.map(_work(attempt), range(CHUNKS), pure=False)))
    return {"inside": inside}


def spark(attempt: Attempt) -> Check:
    with attempt.timed():
        inside = attempt.session.sparkContext.parallelize(range(CHUNKS), CHUNKS).map(_work(attempt)).sum()
    return {"inside": inside}


_ROWS = (
    ("python", "loop", plain),
    ("elastic inline", "map", partial(ours, "inline")),
    ("elastic local", "map, first run", partial(ours, "local")),
    ("elastic local", "map, later run", partial(ours_again, "local")),
    ("pool", "imap_unordered", pool),
    ("ray", "tasks", ray_tasks),
    ("ray", "actors", ray_actors),
    ("ray data", "map, sum, 64 blocks", ray_data),
    ("dask", "futures", dask),
    ("pyspark", "64 partitions", spark),
)

MONTE_CARLO = Workload(
    key="W4",
    title="Monte Carlo in pure Python, 64 chunks",
    unit="points",
    full=CHUNKS * 500_000,
    contenders=tuple(
        Contender(name=name, engine=engine, carry_out=carry_out, baseline=PLAIN) for engine, name, carry_out in _ROWS
    ),
    notes=("The first run of a process starts its workers; Ray itself already runs.",),
)
