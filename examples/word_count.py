"""Count the words of Python's own help and print the summary of the run.

python examples/word_count.py [CLUSTER]

CLUSTER is inline, local (the default), auto or host:port.
"""

import sys
import tempfile
from pathlib import Path
from pydoc_data.topics import topics

import elastic
from elastic.aggregators import Count

cluster = sys.argv[1] if len(sys.argv) > 1 else "local"

with tempfile.TemporaryDirectory() as folder:
    for topic, text in topics.items():
        Path(folder, f"{topic}.txt").write_text(text, encoding="utf-8")
    words = elastic.read_text(f"{folder}/*.txt").flat_map(str.split).aggregate(Count())
    result = words.run(cluster=cluster)

for word, count in result.value.most_common(5):
    print(f"{count:6,}  {word}")
print(result)
