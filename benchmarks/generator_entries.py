"""W7: entries of a generator, which travel by value and are stored on the disk before they are sent."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import elastic
from benchmarks.engine import actors_of, feed
from benchmarks.workload import Attempt, Check, Contender, Workload

PLAIN = "python: loop"

#: Entries per message of the programs written by hand, and per chunk of Elastic.
_AT_ONCE = 3000


def entries(size: int) -> Iterator[str]:
    """Yield short strings."""
    return entries_of(range(size))


def entries_of(numbers: Iterable[int]) -> Iterator[str]:
    """Yield the entries of some numbers."""
    for number in numbers:
        yield f"entry {number * number % 1_000_003}"


def _batches(size: int) -> Iterator[list[str]]:
    remaining = entries(size)
    while batch := list(islice(remaining, _AT_ONCE)):
        yield batch


def letters(batch: Iterable[str]) -> int:
    """Return the total length of the strings."""
    return sum(map(len, batch))


def ours_by_value(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        result = elastic.from_iterable(entries(attempt.size)).map(len).aggregate("sum").run(cluster=cluster)
    return {"entries": result.entries, "letters": result.value}


def ours_by_reference(cluster: str, attempt: Attempt) -> Check:
    path = attempt.folder / "entries.txt"
    path.write_text("".join(f"{entry}\n" for entry in entries(attempt.size)), encoding="utf-8")
    with attempt.timed():
        result = elastic.read_text(path).map(len).aggregate("sum").run(cluster=cluster)
    return {"entries": result.entries, "letters": result.value}


def ours_from_range(cluster: str, attempt: Attempt) -> Check:
    with attempt.timed():
        flow = elastic.from_range(attempt.size, chunk_size=_AT_ONCE).map_chunks(entries_of).map(len)
        result = flow.aggregate("sum").run(cluster=cluster)
    return {"entries": result.entries, "letters": result.value}


def plain(attempt: Attempt) -> Check:
    with attempt.timed():
        total = letters(entries(attempt.size))
    return {"entries": attempt.size, "letters": total}


def plain_with_file(attempt: Attempt) -> Check:
    path = attempt.folder / "entries.txt"
    with attempt.timed():
        total = _kept(path, attempt.size)
    return {"entries": attempt.size, "letters": total}


def _kept(path: Path, size: int) -> int:
    total = 0
    with path.open("w", encoding="utf-8") as file:
        for batch in _batches(size):
            file.write("\n".join(batch))
            total += letters(batch)
    return total


def pool(attempt: Attempt) -> Check:
    with attempt.timed():
        total = sum(attempt.session.imap_unordered(letters, _batches(attempt.size)))
    return {"entries": attempt.size, "letters": total}


class Measuring:
    """Actor that measures strings."""

    def letters(self, batch: list[str]) -> int:
        return letters(batch)


def ray_actors(attempt: Attempt) -> Check:
    actors = actors_of(attempt.session, Measuring)
    with attempt.timed():
        total = sum(feed(attempt.session, actors, _batches(attempt.size), lambda a, batch: a.letters.remote(batch)))
    return {"entries": attempt.size, "letters": total}


def ray_data(attempt: Attempt) -> Check:
    with attempt.timed():
        rows = attempt.session.from_items([{"entry": entry} for entry in entries(attempt.size)])
        total = rows.map(_measure_row).sum("letters")
    return {"entries": attempt.size, "letters": int(total)}


def _measure_row(row: dict[str, str]) -> dict[str, int]:
    return {"letters": len(row["entry"])}


def dask(attempt: Attempt) -> Check:
    client = attempt.session
    with attempt.timed():
        total = sum(client.gather([client.submit(letters, batch, pure=False) for batch in _batches(attempt.size)]))
    return {"entries": attempt.size, "letters": total}


def spark(attempt: Attempt) -> Check:
    with attempt.timed():
        slices = max(1, attempt.size // _AT_ONCE)
        total = attempt.session.sparkContext.parallelize(entries(attempt.size), slices).map(len).sum()
    return {"entries": attempt.size, "letters": total}


_ROWS = (
    ("python", "loop", plain),
    ("python", "loop, each entry written to a file", plain_with_file),
    ("elastic inline", "by value", partial(ours_by_value, "inline")),
    ("elastic inline", "by reference, made on the workers", partial(ours_from_range, "inline")),
    ("elastic inline", "by reference, lines of a file", partial(ours_by_reference, "inline")),
    ("elastic local", "by value", partial(ours_by_value, "local")),
    ("elastic local", "by reference, made on the workers", partial(ours_from_range, "local")),
    ("elastic local", "by reference, lines of a file", partial(ours_by_reference, "local")),
    ("pool", "imap_unordered", pool),
    ("ray", "actors", ray_actors),
    ("ray data", "from_items, map, sum", ray_data),
    ("dask", "futures", dask),
    ("pyspark", "parallelize, map, sum", spark),
)

BY_VALUE = Workload(
    key="W7",
    title="A generator of short strings",
    unit="entries",
    full=1_000_000,
    contenders=tuple(
        Contender(name=name, engine=engine, carry_out=carry_out, baseline=PLAIN) for engine, name, carry_out in _ROWS
    ),
    notes=(
        "*By value*: a generator, whose chunks are kept and synced before they are sent. *By reference*: the workers "
        "make the same entries by the same function from a range of numbers, or read them as lines of a file that was "
        "there before, which takes less time than to make them. Nothing but ours syncs what it sends.",
    ),
)
