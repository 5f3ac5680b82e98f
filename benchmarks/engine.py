"""Engines of the contenders: how each is opened and closed, and its requirements.

The tables show the opening as the start. Each engine gets one worker per CPU, at least two.
"""

import importlib.util
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any

#: Workers of each engine that has workers.
WORKERS = os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Engine of contenders."""

    #: context manager that opens it and yields the session of its contenders
    opened: Callable[[], AbstractContextManager[Any]]
    #: required modules
    modules: tuple[str, ...] = ()
    #: required programs
    programs: tuple[str, ...] = ()

    def missing(self) -> str:
        """Return the missing requirement; empty if all are installed."""
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        absent += [name for name in self.programs if shutil.which(name) is None]
        return ", ".join(absent)


@contextmanager
def _elastic_local() -> Iterator[None]:
    """Open the Ray that a run with `cluster="local"` would start."""
    # As docs/how-to/frames.md advises for workers with one CPU each.
    os.environ["POLARS_MAX_THREADS"] = "1"
    from elastic.stages.ray_backend.startup.environment import prepare

    prepare("local")
    import ray

    from elastic.stages.ray_backend.startup.connection import connect

    connect("local", cpus=WORKERS)
    yield
    ray.shutdown()


@contextmanager
def _pool() -> Iterator[Any]:
    # Forked, as most pools on Linux, so that workers import nothing.
    with get_context("fork").Pool(WORKERS) as pool:
        pool.map(abs, range(2 * WORKERS))
        yield pool


@contextmanager
def _ray() -> Iterator[Any]:
    # The same private Ray as Elastic's.
    with _elastic_local():
        import ray

        ray.get([ray.remote(_nothing).remote() for _ in range(2 * WORKERS)])
        yield ray


@contextmanager
def _ray_data() -> Iterator[Any]:
    with _ray():
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield ray.data


@contextmanager
def _dask() -> Iterator[Any]:
    from dask.distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, memory_limit=0, silence_logs=logging.ERROR
    )
    with cluster, Client(cluster) as client:
        client.submit(abs, 1).result()
        yield client


@contextmanager
def _spark() -> Iterator[Any]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{WORKERS}]").appName("benchmarks")
    for name, value in _SPARK.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    spark.sparkContext.parallelize(range(WORKERS), WORKERS).sum()
    yield spark
    spark.stop()


#: Memory for all data in one process, no listener beyond the machine, few partitions for few CPUs.
_SPARK = {
    "spark.driver.memory": "8g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.log.level": "OFF",
    "spark.ui.showConsoleProgress": "false",
}


@contextmanager
def _polars() -> Iterator[Any]:
    os.environ["POLARS_MAX_THREADS"] = str(WORKERS)
    import polars

    yield polars


@contextmanager
def _duckdb() -> Iterator[Any]:
    import duckdb

    with closing(duckdb.connect(config={"threads": WORKERS})) as database:
        yield database


def _nothing() -> None:
    """Run one task, so that a worker is warm."""


def actors_of(ray: Any, kind: type) -> list[Any]:
    """Return one ready Ray actor of a class per worker."""
    actors = [ray.remote(kind).remote() for _ in range(WORKERS)]
    ray.get([actor.__ray_ready__.remote() for actor in actors])
    return actors


def feed(
    ray: Any, actors: list[Any], pieces: Iterable[Any], call: Callable[[Any, Any], Any], depth: int = 2
) -> list[Any]:
    """Distribute pieces of work to Ray actors, each next one to an idle actor, and return the results.

    Args:
        ray: The module.
        actors: The actors.
        pieces: The pieces of work.
        call: Function that calls an actor with a piece.
        depth: Pieces in flight per actor.
    """
    remaining, answers, pending = iter(pieces), [], {}
    for actor in actors * depth:
        pending.update({call(actor, piece): actor for piece in islice(remaining, 1)})
    while pending:
        (done,), _ = ray.wait(list(pending))
        actor = pending.pop(done)
        answers.append(ray.get(done))
        pending.update({call(actor, piece): actor for piece in islice(remaining, 1)})
    return answers


#: In the order of the tables.
ENGINES = {
    "python": Engine(opened=nullcontext),
    "elastic inline": Engine(opened=nullcontext),
    "elastic local": Engine(opened=_elastic_local),
    "pool": Engine(opened=_pool),
    "ray": Engine(opened=_ray),
    "ray data": Engine(opened=_ray_data, modules=("pyarrow", "pandas", "numpy")),
    "dask": Engine(opened=_dask, modules=("dask", "distributed")),
    "pyspark": Engine(opened=_spark, modules=("pyspark",), programs=("java",)),
    "polars": Engine(opened=_polars, modules=("polars",)),
    "duckdb": Engine(opened=_duckdb, modules=("duckdb",)),
}
