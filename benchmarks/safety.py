"""Cost of persistence: the same work with and without a run on the disk.

    python -m benchmarks.safety [--megabytes 512] [--chunks 100000] [--rounds 5]

The work is a word count over text, and chunks of one entry. `persist` off and on are interleaved, and every result is
compared. Both make and check receipts, so the difference is the store: commits, syncs and receipt rows. Every receipt
is stored by default, so there is no fuller audit to compare with.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elastic
from benchmarks.measurement import Spent, medians
from benchmarks.sample_text import write_python
from benchmarks.word_count_contenders import count_lines
from elastic.aggregators import Count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cluster", default="inline")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        write_python(text, options.megabytes << 20)
        words = elastic.read_text(text).flat_map(str.split).aggregate(Count())
        chunks = elastic.from_range(options.chunks, chunk_size=1).aggregate("sum")
        print("| work | persist off | on | ratio | CPU off | on | ratio |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for name, flow, answer in (
            (f"word count, {options.megabytes} MiB", words, count_lines([text])),
            (f"{options.chunks:,} chunks of one entry", chunks, sum(range(options.chunks))),
        ):
            off, on = compare(flow, answer, options.rounds, cluster=options.cluster, home=Path(folder) / "home")
            seconds = f"{off.seconds:.2f} s | {on.seconds:.2f} s | {on.seconds / off.seconds:.3f}"
            print(f"| {name} | {seconds} | {off.cpu:.2f} s | {on.cpu:.2f} s | {on.cpu / off.cpu:.3f} |", flush=True)


def compare(flow: elastic.Flow, answer: Any, rounds: int, **options: Any) -> tuple[Spent, Spent]:
    """Return the times without and with a run on the disk."""

    def run(*, persist: bool) -> Callable[[], Any]:
        return lambda: flow.run(persist=persist, **options).value

    median = medians({name: (run(persist=name == "on"), answer) for name in ("off", "on")}, rounds)
    return median["off"], median["on"]


if __name__ == "__main__":
    main()
