"""W8: JSON lines through a Python function into Parquet, partitioned by one of ten keys."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import elastic
from benchmarks.workload import Attempt, Check, Contender, Workload

PLAIN = "python: json, pyarrow"

COUNTRIES = ("AT", "BE", "CH", "DE", "ES", "FR", "GB", "IT", "NL", "PL")

#: Columns of the written files; the country is in the names of the folders.
COLUMNS = ("id", "item", "total", "weight", "note")

#: Number of files of the input.
_FILES = 8

#: Rows of a row group of the program written by hand: about 16 MiB in memory, as those of Elastic.
_GROUP_ROWS = 1 << 17

#: Bytes of a partition of Dask.
_DASK_BYTES = 16 << 20

_ADJECTIVES = ("amber", "blue", "carved", "dented", "early", "folding", "grey")
_NOUNS = ("anvil", "basket", "chair", "desk", "easel", "flask", "globe", "hammer", "inkwell", "jug", "kettle")


def orders(first: int) -> Iterator[dict[str, Any]]:
    """Yield orders from a number on, without end."""
    number = first
    while True:
        mixed = number * 2_654_435_761 % (1 << 32)
        item = f"{_ADJECTIVES[mixed % 7].title()} {_NOUNS[mixed % 11]} {mixed % 9973}"
        yield {
            "id": number,
            "country": COUNTRIES[(mixed >> 7) % 10],
            "item": item,
            "quantity": 1 + mixed % 9,
            "price": 100 + (mixed >> 11) % 90_000,
            "grams": (mixed >> 5) % 40_000,
            "note": f"ordered by customer {mixed >> 3:x}, to be left at door {mixed % 397} \u2013 not before noon",
        }
        number += 1


def write_orders(megabytes: int, folder: Path) -> None:
    """Write orders of about so many MiB to JSON lines files."""
    number = 0
    for part in range(_FILES):
        with (folder / f"part{part}.jsonl").open("wb") as file:
            for order in orders(number):
                file.write(json.dumps(order).encode() + b"\n")
                number += 1
                if file.tell() >= (megabytes << 20) // _FILES:
                    break


def sale(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record to write for an order: the function that all contenders map."""
    return {
        "country": order["country"],
        "id": order["id"],
        "item": order["item"].lower(),
        "total": order["quantity"] * order["price"],
        "weight": order["quantity"] * order["grams"] / 1000,
        "note": order["note"],
    }


def check(written: Path) -> Check:
    """Describe the rows of all written files: their number by folder, and a sum of checksums of whole rows."""
    from pyarrow import parquet

    rows, totals = dict.fromkeys(COUNTRIES, 0), dict.fromkeys(COUNTRIES, 0)
    checksum = 0
    for path in written.rglob("*.parquet"):
        country = path.parent.name.removeprefix("country=")
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(COLUMNS)):
                values = [batch.column(name).to_pylist() for name in COLUMNS]
                rows[country] += batch.num_rows
                totals[country] += sum(values[COLUMNS.index("total")])
                checksum += sum(crc32(repr((country, *row)).encode()) for row in zip(*values, strict=True))
    return {"rows": rows, "totals": totals, "checksum": checksum}


def plain(attempt: Attempt) -> Check:
    written = attempt.folder / "sales"
    with attempt.timed():
        write_by_hand(_paths(attempt), written)
    return check(written)


def write_by_hand(paths: Iterable[str], written: Path) -> None:
    """Write the sales of some files, with one file per country."""
    import pyarrow
    from pyarrow import parquet

    held: dict[str, list[dict[str, Any]]] = {}
    writers: dict[str, Any] = {}

    def write(country: str) -> None:
        table = pyarrow.Table.from_pylist(held.pop(country)).drop_columns("country")
        if country not in writers:
            folder = written / f"country={country}"
            folder.mkdir(parents=True)
            writers[country] = files.enter_context(
                parquet.ParquetWriter(folder / "part.parquet", table.schema, compression="zstd")
            )
        writers[country].write_table(table)

    with ExitStack() as files:
        for path in paths:
            with Path(path).open("rb") as lines:
                for line in lines:
                    record = sale(json.loads(line))
                    country = record["country"]
                    held.setdefault(country, []).append(record)
                    if len(held[country]) == _GROUP_ROWS:
                        write(country)
        for country in list(held):
            write(country)


def ours(cluster: str, attempt: Attempt) -> Check:
    written = attempt.folder / "sales"
    with attempt.timed():
        sales = elastic.read_jsonl(attempt.input).map(sale)
        sales.write_parquet(written, partition_by="country").run(cluster=cluster)
    return check(written)


def ray_data(attempt: Attempt) -> Check:
    written = attempt.folder / "sales"
    with attempt.timed():
        sales = attempt.session.read_json(_paths(attempt)).map(sale)
        sales.write_parquet(str(written), partition_cols=["country"], compression="zstd")
    return check(written)


def dask(attempt: Attempt) -> Check:
    import dask.bag

    written = attempt.folder / "sales"
    kinds = {"country": str, "id": int, "item": str, "total": int, "weight": float, "note": str}
    with attempt.timed():
        lines = dask.bag.read_text(_paths(attempt), blocksize=_DASK_BYTES)
        sales = lines.map(json.loads).map(sale).to_dataframe(meta=kinds)
        sales.to_parquet(str(written), partition_on=["country"], write_index=False, compression="zstd")
    return check(written)


def _paths(attempt: Attempt) -> list[str]:
    return sorted(map(str, attempt.input.glob("*.jsonl")))


_ROWS = (
    ("python", "json, pyarrow", plain),
    ("elastic inline", "read_jsonl, map, write_parquet", partial(ours, "inline")),
    ("elastic local", "read_jsonl, map, write_parquet", partial(ours, "local")),
    ("ray data", "read_json, map, write_parquet", ray_data),
    ("dask", "bag, DataFrame.to_parquet", dask),
)

LINES_TO_PARQUET = Workload(
    key="W8",
    title="JSON lines through a Python function into partitioned Parquet",
    unit="MiB",
    full=512,
    contenders=tuple(
        Contender(name=name, engine=engine, carry_out=carry_out, baseline=PLAIN, modules=("pyarrow.parquet",))
        for engine, name, carry_out in _ROWS
    ),
    write_input=write_orders,
    notes=(
        "All call the same function of a dict for each record, and compress by zstd. The baseline is one process that "
        "parses lines by `json`, collects rows by key, and writes one file per key by pyarrow. Ray Data and Dask write "
        "by pyarrow and pandas. Only Elastic writes a manifest, and each record exactly once if a process dies.",
        "The answer is that of the files: rows and sums by key, and a sum of checksums of all rows.",
    ),
)
