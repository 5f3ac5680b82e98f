"""Contenders that count the words of files."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import elastic
from benchmarks.corpus import Corpus, Range, count, count_text
from benchmarks.engine import WORKERS, actors_of, feed
from benchmarks.workload import Attempt, Check, Contender, words_check, words_check_of
from elastic.aggregators import Count

#: The plain loops.
LINES, BLOCKS, WHOLE_BLOCKS = "python: by line", "python: by block", "python: by block, whole"

#: Reads a part of a Counter.
Read = Callable[[Any], Any]


def most_common(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """Return the ten most common words."""
    return counts.most_common(10)


def whole(counts: Counter[Any]) -> Any:
    """Fill the Counter, unless it is."""
    return next(iter(counts), None)


class Counting:
    """Actor with one table of words."""

    def __init__(self) -> None:
        self.counts: Counter[bytes] = Counter()

    def add(self, piece: list[Range]) -> None:
        count(piece, self.counts)

    def count(self, piece: list[Range]) -> Counter[bytes]:
        return count(piece)

    def result(self) -> Counter[bytes]:
        return self.counts


def count_lines(paths: Iterable[str | Path]) -> Counter[str]:
    """Count the words of text files line by line: the plain loop."""
    counts: Counter[str] = Counter()
    for path in paths:
        with Path(path).open(encoding="utf-8", newline="\n") as file:
            for line in file:
                counts.update(line.split())
    return counts


def ours_by_line(files: dict[str, Any], cluster: str, corpus: Corpus, attempt: Attempt) -> Check:
    with attempt.timed():
        words = elastic.read_text(corpus.root(attempt.text), **files).flat_map(str.split).aggregate(Count())
        counts = words.run(cluster=cluster).value
    return words_check(counts)


def ours_by_block(
    files: dict[str, Any],
    cluster: str,
    corpus: Corpus,
    attempt: Attempt,
    *,
    read: Read = most_common,
    without_polars: bool = False,
) -> Check:
    with hidden("polars") if without_polars else nullcontext(), attempt.timed():
        words = elastic.read_text(corpus.root(attempt.text), **files).words().aggregate(Count())
        counts = words.run(cluster=cluster).value
        read(counts)
    return words_check(counts)


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Let imports of a module fail, as if it were not installed."""
    held = {name: sys.modules.pop(name) for name in [module] if name in sys.modules}
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
        sys.modules.update(held)


def plain_by_line(corpus: Corpus, attempt: Attempt) -> Check:
    with attempt.timed():
        counts = count_lines(corpus.paths(attempt.text))
    return words_check(counts)


def plain_by_block(corpus: Corpus, attempt: Attempt, *, read: Read = most_common) -> Check:
    with attempt.timed():
        counts = count(corpus.whole(attempt.text))
        read(counts)
    return words_check(counts)


def plain_by_text(corpus: Corpus, attempt: Attempt) -> Check:
    with attempt.timed():
        counts = count_text(corpus.whole(attempt.text))
    return words_check(counts)


def pool(corpus: Corpus, attempt: Attempt) -> Check:
    with attempt.timed():
        counts: Counter[bytes] = Counter()
        for some in attempt.session.imap_unordered(count, corpus.pieces(attempt.text)):
            counts.update(some)
    return words_check(counts)


def ray_tasks(corpus: Corpus, attempt: Attempt) -> Check:
    ray = attempt.session
    task = ray.remote(count)
    with attempt.timed():
        counts: Counter[bytes] = Counter()
        pending: list[Any] = []
        remaining = iter(corpus.pieces(attempt.text))
        while True:
            pending += [task.remote(piece) for piece in islice(remaining, 4 * WORKERS - len(pending))]
            if not pending:
                break
            (done,), pending = ray.wait(pending)
            counts.update(ray.get(done))
    return words_check(counts)


def ray_actor_pool(corpus: Corpus, attempt: Attempt) -> Check:
    from ray.util import ActorPool

    actors = actors_of(attempt.session, Counting)
    with attempt.timed():
        counts: Counter[bytes] = Counter()
        pieces = corpus.pieces(attempt.text)
        for some in ActorPool(actors).map_unordered(lambda actor, piece: actor.count.remote(piece), pieces):
            counts.update(some)
    return words_check(counts)


def ray_actors(corpus: Corpus, attempt: Attempt) -> Check:
    ray = attempt.session
    actors = actors_of(ray, Counting)
    with attempt.timed():
        feed(ray, actors, corpus.pieces(attempt.text), lambda actor, piece: actor.add.remote(piece))
        counts, *others = (ray.get(actor.result.remote()) for actor in actors)
        for other in others:
            counts.update(other)
    return words_check(counts)


def ray_unmerged(corpus: Corpus, attempt: Attempt) -> Check:
    ray = attempt.session
    actors = actors_of(ray, Counting)
    with attempt.timed():
        feed(ray, actors, corpus.pieces(attempt.text), lambda actor, piece: actor.add.remote(piece))
    counts: Counter[bytes] = Counter()
    for actor in actors:
        counts.update(ray.get(actor.result.remote()))
    return words_check(counts)


def ray_data(corpus: Corpus, attempt: Attempt) -> Check:
    with attempt.timed():
        lines = attempt.session.read_text(corpus.paths(attempt.text))
        table = lines.map_batches(_count_batch, batch_size=100_000).groupby("word").sum("count").materialize()
    counts: dict[str, int] = {}
    for batch in table.iter_batches(batch_format="numpy"):
        counts.update(zip(batch["word"].tolist(), batch["sum(count)"].tolist(), strict=True))
    return words_check(counts)


def _count_batch(batch: dict[str, Any]) -> dict[str, Any]:
    import numpy

    counts: Counter[str] = Counter()
    for line in batch["text"]:
        counts.update(line.split())
    # Without any word, numpy could not infer the type.
    return {
        "word": numpy.array(list(counts), dtype=object),
        "count": numpy.fromiter(counts.values(), dtype=numpy.int64),
    }


def dask_futures(corpus: Corpus, attempt: Attempt) -> Check:
    from dask.distributed import as_completed

    client = attempt.session
    with attempt.timed():
        counts: Counter[bytes] = Counter()
        for future in as_completed(client.map(count, corpus.pieces(attempt.text), pure=False)):
            counts.update(future.result())
            future.release()
    return words_check(counts)


def spark(corpus: Corpus, attempt: Attempt) -> Check:
    from pyspark.sql import functions

    with attempt.timed():
        lines = attempt.session.read.text(corpus.paths(attempt.text))
        words = lines.select(functions.explode(functions.split("value", r"\s+")).alias("word")).where("word <> ''")
        counts = words.groupBy("word").count().cache()
        counts.count()
    sums = ["sum(count) total", "count(*) distinct", "sum(count * count) squares", "sum(length(word)) letters"]
    top = counts.orderBy(functions.desc("count"), "word").limit(10).collect()
    return words_check_of(**counts.selectExpr(*sums).first().asDict(), top=[tuple(row) for row in top])


def polars(corpus: Corpus, attempt: Attempt) -> Check:
    pl = attempt.session
    with attempt.timed():
        lines = pl.scan_lines(corpus.paths(attempt.text), name="line")
        words = lines.select(pl.col("line").str.extract_all(r"\S+").alias("word")).explode("word").drop_nulls()
        counts = words.group_by("word").len("count").collect(engine="streaming")
    return frame_check(counts)


def frame_check(counts: Any) -> Check:
    """Describe a Polars frame of words."""
    import polars as pl

    number = pl.col("count").cast(pl.Int64)
    letters = pl.col("word").str.len_bytes().sum()
    sums = counts.select(
        number.sum().alias("total"), pl.len().alias("distinct"), (number**2).sum().alias("squares"), letters=letters
    )
    top = counts.sort(["count", "word"], descending=[True, False]).head(10).rows()
    return words_check_of(**sums.row(0, named=True), top=top)


def duckdb(corpus: Corpus, attempt: Attempt) -> Check:
    database = attempt.session
    with attempt.timed():
        database.execute("CREATE OR REPLACE TABLE counts AS " + _DUCKDB_COUNTS, [corpus.paths(attempt.text)])
    sums = "sum(n) total, count(*) AS distinct, sum(n * n) squares, sum(length(word)) letters"
    total, distinct, squares, letters = database.execute(f"SELECT {sums} FROM counts").fetchone()
    top = database.execute("SELECT word, n FROM counts ORDER BY n DESC, word LIMIT 10").fetchall()
    return words_check_of(total=total, distinct=distinct, squares=squares, letters=letters, top=top)


#: A line is a row of one column: no byte of the text is the delimiter, which is the character of code 1.
_DUCKDB_COUNTS = r"""
SELECT word, count(*) AS n
FROM (SELECT unnest(string_split_regex(line, '\s+')) AS word
      FROM read_csv(?, columns = {'line': 'VARCHAR'}, auto_detect = false, header = false, delim = 'DELIMITER',
                    quote = '', escape = '', max_line_size = 4000000))
WHERE word <> '' GROUP BY word
""".replace("DELIMITER", chr(1))


def contenders(corpus: Corpus, **files: Any) -> tuple[Contender, ...]:
    """Return all contenders for the words of a corpus.

    Args:
        corpus: The files.
        files: Arguments of `elastic.read_text`.
    """
    plain_inline = partial(ours_by_block, files, "inline", without_polars=True)
    rows: list[tuple[str, str, Callable[..., Check], str]] = [
        ("by line", "python", plain_by_line, LINES),
        ("by block", "python", plain_by_block, BLOCKS),
        ("by block, whole", "python", partial(plain_by_block, read=whole), WHOLE_BLOCKS),
        ("by block, as strings", "python", plain_by_text, WHOLE_BLOCKS),
        ("by line", "elastic inline", partial(ours_by_line, files, "inline"), LINES),
        ("by block", "elastic inline", partial(ours_by_block, files, "inline"), BLOCKS),
        ("by block, whole", "elastic inline", partial(ours_by_block, files, "inline", read=whole), WHOLE_BLOCKS),
        ("by block, without polars", "elastic inline", plain_inline, BLOCKS),
        ("by block, without polars, whole", "elastic inline", partial(plain_inline, read=whole), WHOLE_BLOCKS),
        ("by line", "elastic local", partial(ours_by_line, files, "local"), LINES),
        ("by block", "elastic local", partial(ours_by_block, files, "local"), BLOCKS),
        ("imap_unordered", "pool", pool, BLOCKS),
        ("tasks", "ray", ray_tasks, BLOCKS),
        ("ActorPool", "ray", ray_actor_pool, BLOCKS),
        ("actors with a table each", "ray", ray_actors, BLOCKS),
        ("counted, not merged", "ray", ray_unmerged, BLOCKS),
        ("map_batches, groupby, sum", "ray data", ray_data, LINES),
        ("futures", "dask", dask_futures, BLOCKS),
        ("DataFrame groupBy", "pyspark", spark, LINES),
        ("scan_lines, group_by", "polars", polars, LINES),
        ("string_split_regex, GROUP BY", "duckdb", duckdb, LINES),
    ]
    return tuple(
        Contender(name=name, engine=engine, carry_out=partial(carry_out, corpus), baseline=baseline)
        for name, engine, carry_out, baseline in rows
    )
