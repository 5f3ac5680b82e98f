"""W5: sums by key of records with many different keys, generated in the chunks."""

import operator
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import elastic
from benchmarks.engine import WORKERS, actors_of, feed
from benchmarks.keyed_records import CHUNKS, columns, records
from benchmarks.workload import Attempt, Check, Contender, Workload
from elastic.aggregators import FrameGroupBy, GroupBy, MergeMappings, SumByKey

PLAIN = "python: dict"

#: Keys whose sums are compared individually.
_PROBES = ("k0", "k1234", "k9999")


def sums_of(size: int, chunks: Iterable[int], sums: dict[str, int] | None = None) -> dict[str, int]:
    """Return the sums by key of some chunks; add to `sums` if it is given."""
    sums = {} if sums is None else sums
    get = sums.get
    for chunk in chunks:
        for key, value in records(size, chunk):
            sums[key] = get(key, 0) + value
    return sums


def sums_of_chunk(size: int, chunk: int) -> dict[str, int]:
    """Return the sums by key of one chunk."""
    return sums_of(size, (chunk,))


def merge(sums: dict[str, int], others: Iterable[dict[str, int]]) -> dict[str, int]:
    """Add other sums to the first ones."""
    get = sums.get
    for other in others:
        for key, value in other.items():
            sums[key] = get(key, 0) + value
    return sums


def check(sums: Mapping[str, int]) -> Check:
    squares = sum(value * value for value in sums.values())
    return check_of(len(sums), sum(sums.values()), squares, sums)


def check_of(keys: int, total: int, squares: int, probes: Mapping[str, int]) -> Check:
    """Describe sums without copying them; `probes` has at least the sums of `_PROBES`."""
    probed = [int(probes[key]) for key in _PROBES]
    return {"keys": int(keys), "total": int(total), "squares": int(squares), "probes": probed}


def plain(attempt: Attempt) -> Check:
    with attempt.timed():
        sums = sums_of(attempt.size, range(CHUNKS))
    return check(sums)


def ours_by_record(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        pairs = elastic.from_range(CHUNKS, chunk_size=1).flat_map(partial(records, attempt.size))
        sums = pairs.aggregate(GroupBy("sum")).run(cluster=cluster).value
    return check(sums)


def ours_by_chunk(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        tables = elastic.from_range(CHUNKS, chunk_size=1).map(partial(sums_of_chunk, attempt.size))
        sums = tables.aggregate(MergeMappings(operator.add, commutative=True)).run(cluster=cluster).value
    return check(sums)


def ours_by_key(cluster: str, options: dict[str, Any], attempt: Attempt) -> Check:
    with attempt.timed():
        pairs = elastic.from_range(CHUNKS, chunk_size=1).flat_map(partial(records, attempt.size))
        sums = pairs.aggregate(SumByKey()).run(cluster=cluster, **options).value
    return check(sums)


def frame_of_chunk(size: int, chunk: int) -> Any:
    """Return the records of one chunk, generated in Python, as a frame."""
    import polars

    pairs = list(records(size, chunk))
    return polars.DataFrame({"key": [key for key, _ in pairs], "value": [value for _, value in pairs]})


def ours_by_frame(cluster: str, options: dict[str, Any], attempt: Attempt) -> Check:
    with attempt.timed():
        frames = elastic.from_range(CHUNKS, chunk_size=1).map(partial(frame_of_chunk, attempt.size))
        sums = frames.aggregate(FrameGroupBy("key", sum=("value", "sum"))).run(cluster=cluster, **options).value
    return check(dict(sums.iter_rows()))


def pool_by_chunk(attempt: Attempt) -> Check:
    with attempt.timed():
        sums = merge({}, attempt.session.imap_unordered(partial(sums_of_chunk, attempt.size), range(CHUNKS)))
    return check(sums)


def pool_by_worker(attempt: Attempt) -> Check:
    with attempt.timed():
        shares = [range(worker, CHUNKS, WORKERS) for worker in range(WORKERS)]
        first, *others = attempt.session.imap_unordered(partial(sums_of, attempt.size), shares)
        sums = merge(first, others)
    return check(sums)


class Summing:
    """Actor that returns the sums of a chunk or adds them to its own table."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}

    def of_chunk(self, size: int, chunk: int) -> dict[str, int]:
        return sums_of(size, (chunk,))

    def add(self, size: int, chunk: int) -> None:
        sums_of(size, (chunk,), self.sums)

    def result(self) -> dict[str, int]:
        return self.sums


def ray_by_chunk(attempt: Attempt) -> Check:
    from ray.util import ActorPool

    actors = actors_of(attempt.session, Summing)
    with attempt.timed():
        tables = ActorPool(actors).map_unordered(lambda a, n: a.of_chunk.remote(attempt.size, n), range(CHUNKS))
        sums = merge({}, tables)
    return check(sums)


def ray_by_worker(attempt: Attempt) -> Check:
    ray = attempt.session
    actors = actors_of(ray, Summing)
    with attempt.timed():
        feed(ray, actors, range(CHUNKS), lambda actor, chunk: actor.add.remote(attempt.size, chunk))
        # One after another, so that at most one is in memory twice.
        sums = merge({}, (ray.get(actor.result.remote()) for actor in actors))
    return check(sums)


def ray_data(attempt: Attempt) -> Check:
    with attempt.timed():
        chunks = attempt.session.range(CHUNKS, override_num_blocks=CHUNKS)
        table = chunks.map_batches(partial(_batch, attempt.size)).groupby("key").sum("value").materialize()
    sums: dict[str, int] = {}
    for batch in table.iter_batches(batch_format="numpy"):
        sums.update(zip(batch["key"].tolist(), batch["sum(value)"].tolist(), strict=True))
    return check(sums)


def _batch(size: int, batch: dict[str, Any]) -> dict[str, Any]:
    import numpy

    parts = [columns(size, int(chunk)) for chunk in batch["id"]]
    numbers = numpy.concatenate([key for key, _ in parts])
    return {"key": numpy.char.add("k", numbers.astype(str)), "value": numpy.concatenate([value for _, value in parts])}


def dask(attempt: Attempt) -> Check:
    import dask.dataframe

    part = partial(_frame, attempt.size)
    with attempt.timed():
        frame = dask.dataframe.from_map(part, range(CHUNKS), meta=part(0).head(0))
        table = frame.groupby("key")["value"].sum(split_out=8).persist()
        len(table)
    return check(table.compute().to_dict())


def _frame(size: int, chunk: int) -> Any:
    import pandas

    key, value = columns(size, chunk)
    return pandas.DataFrame({"key": pandas.Series(key).astype(str).radd("k"), "value": value})


def spark(attempt: Attempt) -> Check:
    context = attempt.session.sparkContext
    with attempt.timed():
        chunks = context.parallelize(range(CHUNKS), CHUNKS)
        table = chunks.flatMap(partial(records, attempt.size)).reduceByKey(operator.add, 8).cache()
        table.count()
    return check(dict(table.toLocalIterator()))


def polars(attempt: Attempt) -> Check:
    pl = attempt.session
    with attempt.timed():
        parts = (columns(attempt.size, chunk) for chunk in range(CHUNKS))
        frames = [
            pl.DataFrame({"key": key, "value": value}).with_columns(pl.format("k{}", "key").alias("key"))
            for key, value in parts
        ]
        table = pl.concat(frames, rechunk=False).lazy().group_by("key").agg(pl.col("value").sum())
        table = table.collect(engine="streaming")
    return check(dict(table.iter_rows()))


def duckdb(attempt: Attempt) -> Check:
    database = attempt.session
    with attempt.timed():
        database.execute("CREATE OR REPLACE TABLE records (key VARCHAR, value BIGINT)")
        for chunk in range(CHUNKS):
            key, value = columns(attempt.size, chunk)
            database.register("part", {"key": key, "value": value})
            database.execute("INSERT INTO records SELECT 'k' || key, value FROM part")
        database.execute("CREATE OR REPLACE TABLE sums AS SELECT key, sum(value)::BIGINT FROM records GROUP BY key")
    return check(dict(database.execute("FROM sums").fetchall()))


_ROWS = (
    ("python", "dict", plain),
    ("elastic inline", "by record", partial(ours_by_record, "inline")),
    ("elastic inline", "by chunk", partial(ours_by_chunk, "inline")),
    ("elastic inline", "SumByKey", partial(ours_by_key, "inline", {})),
    ("elastic inline", "SumByKey, shards=2", partial(ours_by_key, "inline", {"shards": 2})),
    ("elastic inline", "FrameGroupBy", partial(ours_by_frame, "inline", {})),
    ("elastic inline", "FrameGroupBy, shards=2", partial(ours_by_frame, "inline", {"shards": 2})),
    ("elastic local", "by record", partial(ours_by_record, "local")),
    ("elastic local", "by chunk", partial(ours_by_chunk, "local")),
    ("elastic local", "SumByKey", partial(ours_by_key, "local", {})),
    ("elastic local", "SumByKey, shards=2", partial(ours_by_key, "local", {"shards": 2})),
    ("elastic local", "FrameGroupBy", partial(ours_by_frame, "local", {})),
    ("elastic local", "FrameGroupBy, shards=2", partial(ours_by_frame, "local", {"shards": 2})),
    ("pool", "imap_unordered", pool_by_chunk),
    ("pool", "a dict per worker", pool_by_worker),
    ("ray", "ActorPool", ray_by_chunk),
    ("ray", "actors with a dict each", ray_by_worker),
    ("ray data", "numpy, groupby, sum", ray_data),
    ("dask", "numpy, DataFrame groupby", dask),
    ("pyspark", "reduceByKey", spark),
    ("polars", "numpy, group_by", polars),
    ("duckdb", "numpy, GROUP BY", duckdb),
)

WIDE_SUM = Workload(
    key="W5",
    title="Sums by key, as many keys as half the records",
    unit="records",
    full=10_000_000,
    least=20_000,
    contenders=tuple(
        Contender(
            name=name,
            engine=engine,
            carry_out=carry_out,
            baseline=PLAIN,
            modules=("polars",) if name.startswith("FrameGroupBy") else (),
        )
        for engine, name, carry_out in _ROWS
    ),
    notes=(
        "*By record* is `flat_map` and `GroupBy('sum')`; *by chunk* is `map` to a dict of each chunk's sums and "
        "`MergeMappings`; *SumByKey* is `flat_map` and `SumByKey`, and `shards=2` leaves its sums in files; "
        "*FrameGroupBy* makes a frame of the records that a chunk generates in Python, as all of these do. What says "
        "*numpy* generates its records with numpy, not in Python.",
        "Inline, one CPU does all that a run does in Python: several need no less than that divided by their number.",
    ),
)
