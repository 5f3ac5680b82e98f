"""Where time goes: start-up, per chunk, per entry, next to a plain Counter loop in the same run.

    python benchmarks/overhead.py [--megabytes 64] [--rounds 5]

Every figure is the median over the rounds; the variants take turns within a round, so that a slow moment of the
machine hits all of them. Every answer is compared with the plain loop's.
"""

import argparse
import statistics
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elastic
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
    write_text(text, megabytes << 20)
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
    expected = plain_loop(text)
    variants: dict[str, tuple[Callable[[], Any], Any]] = {
        "plain": (lambda: plain_loop(text), expected),
        "inline": (words(text, "inline"), expected),
        "local": (words(text, "local"), expected),
        "few inline": (words(few, "inline"), plain_loop(few)),
        "few local": (words(few, "local"), plain_loop(few)),
        "chunks inline": (chunks("inline"), sum(range(CHUNKS))),
        "chunks local": (chunks("local"), sum(range(CHUNKS))),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, (run, answer) in variants.items():
            began = time.perf_counter()
            if run() != answer:
                raise SystemExit(f"{name}: the answer is wrong")
            seconds[name].append(time.perf_counter() - began)
    report({name: statistics.median(times) for name, times in seconds.items()}, first, text)


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


def plain_loop(path: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            counts.update(line.split())
    return counts


def write_text(path: Path, size: int) -> None:
    """Write about `size` bytes of Python's own sources."""
    library = Path(sysconfig.get_paths()["stdlib"])
    sources = sorted([*library.glob("*.py"), *library.glob("pydoc_data/*.py")])
    block = b"".join(source.read_bytes().replace(b"\r", b"") for source in sources)
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(block)


if __name__ == "__main__":
    main()
