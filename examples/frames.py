"""Process chunks as Polars frames: count the words of Python's help, and find the longest line per first word.

python examples/frames.py [CLUSTER]

CLUSTER is inline, local (the default), auto or host:port. Needs the extra `polars`.
"""

import sys
import tempfile
from pathlib import Path
from pydoc_data.topics import topics

import polars as pl

import elastic
from elastic.aggregators import FrameCount, FrameGroupBy

cluster = sys.argv[1] if len(sys.argv) > 1 else "local"


def starts(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the first word and the length of each line that has one; `entry` is the column of lines."""
    text = pl.col("entry")
    return lines.select(first=text.str.extract(r"(\w+)"), size=text.str.len_chars()).drop_nulls()


with tempfile.TemporaryDirectory() as folder:
    for topic, text in topics.items():
        Path(folder, f"{topic}.txt").write_text(text, encoding="utf-8")
    lines = elastic.read_text(f"{folder}/*.txt", one_file_per_chunk=True)
    words = lines.words().aggregate(FrameCount()).run(cluster=cluster)
    sizes = lines.map_frames(starts).aggregate(FrameGroupBy("first", lines="count", longest=("size", "max")))
    grouped = sizes.run(cluster=cluster)

# Results are frames; the order of their rows is undefined.
for word, count in words.value.top_k(3, by="count").sort("count", descending=True).iter_rows():
    print(f"{count:6,}  {word}")
print(grouped.value.sort("lines", "first", descending=[True, False]).head(3).to_dicts())
print(words)
