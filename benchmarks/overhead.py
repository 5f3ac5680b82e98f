"""Overhead of a run: start-up, per chunk and per entry, beside a plain Counter loop in the same process.

    python -m benchmarks.overhead [--megabytes 64] [--rounds 5]

Every figure is the median over the rounds. The variants are interleaved, so that a slow moment of the machine affects
all of them. Every result is compared with that of the plain loop.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elastic
from benchmarks.measurement import medians
from benchmarks.sample_text import write_python
from benchmarks.word_count_contenders import count_lines
from elastic.aggregators import Count

CHUNKS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.megabytes, options.rounds)


def measure(folder: Path, megabytes: int, rounds: int) -> None:
    text, few = folder / "text.txt", folder / "few.txt"
    write_python(text, megabytes << 20)
    few.write_text("one two\nthree four\nfive\n")
    home = folder / "home"

    def words(path: Path, cluster: str) -> Callable[[], Any]:
        flow = elastic.read_text(path).flat_map(str.split).aggregate(Count())
        return lambda: flow.run(cluster=cluster, home=home).value

    def chunks(cluster: str) -> Callable[[], Any]:
        flow = elastic.from_range(CHUNKS, chunk_size=1).aggregate("sum")
        return lambda: flow.run(cluster=cluster, home=home).value

    began = time.perf_counter()
    words(few, "local")()
    first = time.perf_counter() - began
    variants: dict[str, tuple[Callable[[], Any], Any]] = {"plain": (lambda: count_lines([text]), count_lines([text]))}
    for cluster in ("inline", "local"):
        variants[cluster] = (words(text, cluster), count_lines([text]))
        variants[f"few {cluster}"] = (words(few, cluster), count_lines([few]))
        variants[f"chunks {cluster}"] = (chunks(cluster), sum(range(CHUNKS)))
    report({name: spent.seconds for name, spent in medians(variants, rounds).items()}, first, text)


def report(median: dict[str, float], first: float, text: Path) -> None:
    with text.open("rb") as file:
        lines = sum(1 for _ in file)
    plain = median["plain"]
    print(f"{text.stat().st_size >> 20} MiB of text, {lines:,} lines; the plain Counter loop takes {plain:.2f} s")
    print()
    print("| | inline | local |")
    print("| --- | ---: | ---: |")
    print(f"| start-up, first run of a process | {median['few inline']:.3f} s | {first:.1f} s |")
    print(f"| start-up, later runs | {median['few inline']:.3f} s | {median['few local']:.2f} s |")
    per_chunk = [f"{median[f'chunks {c}'] / CHUNKS * 1e6:.0f} µs" for c in ("inline", "local")]
    print(f"| per chunk ({CHUNKS:,} chunks of one entry, with start-up) | {per_chunk[0]} | {per_chunk[1]} |")
    per_line = [f"{median[c] / lines * 1e6:.2f} µs" for c in ("inline", "local")]
    print(f"| per line of text (plain loop: {plain / lines * 1e6:.2f} µs) | {per_line[0]} | {per_line[1]} |")
    ratios = [f"{median[c] / plain:.2f}" for c in ("inline", "local")]
    print(f"| whole word count, ratio to the plain loop | {ratios[0]} | {ratios[1]} |")


if __name__ == "__main__":
    main()
