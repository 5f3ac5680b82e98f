"""W6: from a command to its first result, over an input of five lines."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.workload import Attempt, Check, Contender, Workload

PLAIN = "python: loop"

_FIVE_LINES = "one two three\ntwo three\nthree\n\nfour four four four\n"


def ours(cluster: str, attempt: Attempt) -> Check:
    text = _text(attempt)
    arguments = ["example", "word-count", str(text), "--cluster", cluster, "-o", "json"]
    printed = _printed(attempt, ["-m", "elastic", *arguments])
    return {"three": dict(json.loads(printed)["top"])["three"]}


def program(code: str, attempt: Attempt) -> Check:
    script = attempt.folder / "program.py"
    script.write_text(code, encoding="utf-8")
    return {"three": int(_printed(attempt, [str(script), str(_text(attempt))]).split()[-1])}


def _text(attempt: Attempt) -> Path:
    text = attempt.folder / "five.txt"
    text.write_text(_FIVE_LINES, encoding="utf-8")
    return text


def _printed(attempt: Attempt, arguments: list[str]) -> str:
    with attempt.timed():
        done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


_LOOP = """
import sys
from collections import Counter
counts = Counter()
for line in open(sys.argv[1]):
    counts.update(line.split())
print(counts["three"])
"""

_FLOW = """
import sys
import elastic
from elastic.aggregators import Count
words = elastic.read_text(sys.argv[1]).flat_map(str.split).aggregate(Count())
print(words.run(cluster=CLUSTER).value["three"])
"""

_POOL = """
import sys
from collections import Counter
from multiprocessing import Pool
if __name__ == "__main__":
    with Pool() as pool, open(sys.argv[1]) as lines:
        print(sum(map(Counter, pool.imap(str.split, lines)), Counter())["three"])
"""

#: Ray as Elastic starts it, without any work; the printed result is a constant.
_RAY_ALONE = """
from benchmarks.engine import ENGINES
with ENGINES["elastic local"].opened():
    print(3)
"""

_RAY_TASK = """
import sys
from collections import Counter
from benchmarks.engine import ENGINES
with ENGINES["elastic local"].opened():
    import ray
    print(ray.get(ray.remote(lambda text: Counter(text.split())).remote(open(sys.argv[1]).read()))["three"])
"""

_RAY_DATA = """
import sys
from collections import Counter
from benchmarks.engine import ENGINES
if __name__ == "__main__":
    with ENGINES["ray data"].opened() as data:
        rows = data.read_text(sys.argv[1]).flat_map(lambda row: [{"word": word} for word in row["text"].split()])
        counts = {row["word"]: row["count()"] for row in rows.groupby("word").count().take_all()}
        print(counts["three"])
"""

_DASK = """
import sys
from benchmarks.engine import ENGINES
if __name__ == "__main__":
    import dask.bag
    with ENGINES["dask"].opened():
        print(dict(dask.bag.read_text(sys.argv[1]).str.split().flatten().frequencies().compute())["three"])
"""

_SPARK = """
import sys
from benchmarks.engine import ENGINES
with ENGINES["pyspark"].opened() as spark:
    from pyspark.sql.functions import explode, split
    words = spark.read.text(sys.argv[1]).select(explode(split("value", " ")).alias("word"))
    print(words.groupBy("word").count().where("word = 'three'").first()[1])
"""

_POLARS = """
import sys
import polars
words = polars.read_csv(sys.argv[1], has_header=False, separator="|", new_columns=["line"], skip_rows_after_header=0)
counts = words.select(polars.col("line").str.extract_all("[a-z]+").explode().value_counts()).unnest("line")
print(counts.filter(polars.col("line") == "three")["count"].item())
"""

_DUCKDB = """
import sys
import duckdb
words = f"SELECT unnest(string_split_regex(content, '[ \\n]+')) AS word FROM read_text('{sys.argv[1]}')"
print(duckdb.sql(f"SELECT count(*) FROM ({words}) WHERE word = 'three'").fetchall()[0][0])
"""

_ROWS = (
    ("python", "loop", partial(program, _LOOP)),
    ("elastic inline", "elastic example word-count", partial(ours, "inline")),
    ("elastic inline", "script", partial(program, _FLOW.replace("CLUSTER", "'inline'"))),
    ("elastic local", "elastic example word-count", partial(ours, "local")),
    ("elastic local", "script", partial(program, _FLOW.replace("CLUSTER", "'local'"))),
    ("pool", "Pool", partial(program, _POOL)),
    ("ray", "ray.init alone", partial(program, _RAY_ALONE)),
    ("ray", "one task", partial(program, _RAY_TASK)),
    ("ray data", "flat_map, groupby, count", partial(program, _RAY_DATA)),
    ("dask", "bag", partial(program, _DASK)),
    ("pyspark", "DataFrame", partial(program, _SPARK)),
    ("polars", "value_counts", partial(program, _POLARS)),
    ("duckdb", "count", partial(program, _DUCKDB)),
)

START = Workload(
    key="W6",
    title="From a command to its first result, five lines",
    unit="commands",
    full=1,
    of_commands=True,
    contenders=tuple(
        Contender(name=name, engine=engine, carry_out=carry_out, baseline=PLAIN) for engine, name, carry_out in _ROWS
    ),
    notes=("Whole commands, from before Python starts until after it has ended.",),
)
