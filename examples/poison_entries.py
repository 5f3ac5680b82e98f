"""Find three poison entries among many, keep them, redrive them after the fix, and verify the run.

    python examples/poison_entries.py [CLUSTER] [ENTRIES]

One entry raises, one exits its process, one loops forever. The last two need worker processes, so they are healthy
on `inline`.
"""

import os
import sys
from functools import partial

import elastic

RAISES, ENDS, HANGS = 1_234, 5_678, 9_012


def square(apart: bool, number: int) -> int:
    if number == RAISES:
        raise ValueError(f"{number} is poison")
    if apart and number == ENDS:
        os._exit(1)
    while apart and number == HANGS:
        pass
    return number * number


def repaired(number: int) -> int:
    return number * number


def main(cluster: str = "local", entries: int = 1_000_000) -> None:
    numbers = elastic.from_range(entries, chunk_size=2000)
    broken = numbers.map(partial(square, cluster != "inline")).aggregate("sum")
    result = broken.run(cluster=cluster, on_error="dead-letter", max_errors=10, chunk_timeout=5)
    print(result)
    for letter in elastic.dead_letters(result.run_id):
        print(f"  {letter.failure.place}: {letter.failure.error_type}: {letter.failure.message}")

    mended = numbers.map(repaired).aggregate("sum")
    result = elastic.redrive(result.run_id, mended, cluster="inline")
    print(f"sum of squares: {result.value}, as expected: {result.value == sum(n * n for n in range(entries))}")
    print(elastic.verify(result.run_id))


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
