"""W9: sums by key of Parquet files, of three columns of twenty, with a condition that statistics mostly answer."""

import json
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import elastic
from benchmarks.workload import Attempt, Check, Contender, Workload
from elastic.aggregators import FrameGroupBy, GroupBy

#: The loop over rows, and the query of columns.
ROWS, QUERY = "python: pyarrow, dict", "polars: scan_parquet, group_by"

#: The rows are in the order of their days, 0 to 99; these are read.
FIRST_DAY, STOP_DAY = 40, 60
_DAYS = 100

SHOPS = 1000

#: Files, row groups of each, and columns beside the three that are read.
FILES, GROUPS = 8, 16
_INTEGERS, _FLOATS, _STRINGS = 8, 6, 3


def write_trades(size: int, folder: Path) -> None:
    """Write rows of 20 columns, of about 160 bytes, to Parquet files."""
    from pyarrow import parquet

    for part in range(FILES):
        bounds = [size * (part * GROUPS + group) // (FILES * GROUPS) for group in range(GROUPS + 1)]
        tables = [_trades(first, stop, size) for first, stop in pairwise(bounds)]
        with parquet.ParquetWriter(folder / f"part{part}.parquet", tables[0].schema) as file:
            for table in tables:
                file.write_table(table, row_group_size=max(table.num_rows, 1))


def _trades(first: int, stop: int, size: int) -> Any:
    import pyarrow
    from pyarrow import compute

    count, columns = stop - first, {}

    def whole(below: int, seed: int) -> Any:
        random = compute.random(count, initializer=first * 31 + seed)
        return compute.floor(compute.multiply(random, below)).cast(pyarrow.int64())

    for number in range(_INTEGERS):
        columns[f"integer{number}"] = whole(1 << 40, number)
    columns["day"] = pyarrow.array([row * _DAYS // size for row in range(first, stop)], pyarrow.int32())
    for number in range(_FLOATS):
        columns[f"float{number}"] = compute.random(count, initializer=first * 31 + 10 + number)
    shops = pyarrow.array([f"shop {number:03}" for number in range(SHOPS)])
    columns["shop"] = shops.take(whole(SHOPS, 20))
    for number in range(_STRINGS):
        columns[f"string{number}"] = whole(1 << 30, 21 + number).cast(pyarrow.string())
    columns["price"] = compute.add(whole(100_000, 30), 1)
    return pyarrow.table(columns)


def check(sums: Mapping[str, int]) -> Check:
    """Describe sums by shop."""
    ordered = sorted((shop, int(total)) for shop, total in sums.items())
    digest = sha256(json.dumps(ordered).encode()).hexdigest()
    return {"shops": len(ordered), "total": sum(total for _, total in ordered), "digest": digest}


def plain(attempt: Attempt) -> Check:
    from pyarrow import dataset

    day = dataset.field("day")
    sums: dict[str, int] = {}
    with attempt.timed():
        trades = dataset.dataset(attempt.input, format="parquet")
        asked = (day >= FIRST_DAY) & (day < STOP_DAY)
        for batch in trades.to_batches(columns=["shop", "price"], filter=asked):
            for shop, price in zip(batch["shop"].to_pylist(), batch["price"].to_pylist(), strict=True):
                sums[shop] = sums.get(shop, 0) + price
    return check(sums)


def trades_of(folder: Path) -> "elastic.Flow":
    """Return the flow of the rows to read."""
    asked = [("day", ">=", FIRST_DAY), ("day", "<", STOP_DAY)]
    return elastic.read_parquet(folder, columns=["shop", "price"], where=asked)


def ours_by_row(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        pairs = trades_of(attempt.input).map(_pair)
        sums = pairs.aggregate(GroupBy("sum")).run(cluster=cluster).value
    return check(sums)


def _pair(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["shop"], row["price"]


def ours_by_frame(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        flow = trades_of(attempt.input).aggregate(FrameGroupBy("shop", total=("price", "sum")))
        sums = flow.run(cluster=cluster).value
    return check(dict(sums.iter_rows()))


def ray_data(attempt: Attempt) -> Check:
    from ray.data.expressions import col

    with attempt.timed():
        trades = attempt.session.read_parquet(str(attempt.input), columns=["shop", "price", "day"])
        asked = trades.filter(expr=(col("day") >= FIRST_DAY) & (col("day") < STOP_DAY))
        table = asked.groupby("shop").sum("price").materialize()
    return check({row["shop"]: row["sum(price)"] for row in table.iter_rows()})


def dask(attempt: Attempt) -> Check:
    import dask.dataframe

    asked = [("day", ">=", FIRST_DAY), ("day", "<", STOP_DAY)]
    with attempt.timed():
        trades = dask.dataframe.read_parquet(str(attempt.input), columns=["shop", "price"], filters=asked)
        sums = trades.groupby("shop")["price"].sum().compute()
    return check(sums.to_dict())


def polars(attempt: Attempt) -> Check:
    pl = attempt.session
    with attempt.timed():
        trades = pl.scan_parquet(attempt.input / "*.parquet")
        asked = trades.filter(pl.col("day") >= FIRST_DAY, pl.col("day") < STOP_DAY)
        sums = asked.group_by("shop").agg(pl.col("price").sum()).collect(engine="streaming")
    return check(dict(sums.iter_rows()))


def duckdb(attempt: Attempt) -> Check:
    query = "SELECT shop, sum(price)::BIGINT FROM read_parquet(?) WHERE day >= ? AND day < ? GROUP BY shop"
    with attempt.timed():
        asked = [str(attempt.input / "*.parquet"), FIRST_DAY, STOP_DAY]
        sums = attempt.session.execute(query, asked).fetchall()
    return check(dict(sums))


_ARROW, _BOTH = ("pyarrow.dataset",), ("pyarrow.dataset", "polars")

_ALL = (
    ("python", "pyarrow, dict", plain, ROWS, _ARROW),
    ("elastic inline", "by row", partial(ours_by_row, "inline"), ROWS, _ARROW),
    ("elastic inline", "frames", partial(ours_by_frame, "inline"), QUERY, _BOTH),
    ("elastic local", "by row", partial(ours_by_row, "local"), ROWS, _ARROW),
    ("elastic local", "frames", partial(ours_by_frame, "local"), QUERY, _BOTH),
    ("ray data", "read_parquet, groupby, sum", ray_data, QUERY, ()),
    ("dask", "read_parquet, groupby, sum", dask, QUERY, _ARROW),
    ("polars", "scan_parquet, group_by", polars, QUERY, ()),
    ("duckdb", "read_parquet, GROUP BY", duckdb, QUERY, ()),
)

PARQUET_GROUP = Workload(
    key="W9",
    title="Sums by key of some columns and rows of Parquet files",
    unit="rows",
    full=6_000_000,
    least=2_000,
    contenders=tuple(
        Contender(name=name, engine=engine, carry_out=carry_out, baseline=baseline, modules=modules)
        for engine, name, carry_out, baseline, modules in _ALL
    ),
    write_input=write_trades,
    notes=(
        f"{FILES} files of {GROUPS} row groups and 20 columns, of which 3 are read. The rows are in the order of their "
        f"days, and a fifth of the days is asked for: by their statistics, four fifths of the row groups need not be "
        "read. The rate counts all rows of the files.",
        "*By row* is `map` and `GroupBy('sum')`, compared with a loop over the rows of `pyarrow.dataset`; *frames* is "
        "`FrameGroupBy`, compared with Polars alone. Elastic gets one row group per chunk.",
    ),
)
