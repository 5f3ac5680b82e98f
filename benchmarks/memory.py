"""Memory of the master against the number of chunks, with which it must not grow.

    python -m benchmarks.memory

Each size runs in its own process; the figure is the peak resident set of that process. The run also checks the
result: the sum over a range that is cut into chunks of one entry.
"""

import resource
import subprocess
import sys
import tempfile

import elastic

SIZES = (1_000, 10_000, 100_000, 1_000_000)


def main() -> None:
    print("| chunks of one entry | peak memory of the process |")
    print("| ---: | ---: |")
    for chunks in SIZES:
        done = subprocess.run([sys.executable, __file__, str(chunks)], capture_output=True, text=True, check=True)
        print(f"| {chunks:,} | {int(done.stdout) / 1024:.0f} MiB |")


def run(chunks: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        result = elastic.from_range(chunks, chunk_size=1).aggregate("sum").run(cluster="inline", home=home)
    if result.value != chunks * (chunks - 1) // 2 or result.chunks != chunks:
        raise SystemExit(f"{chunks} chunks: wrong result")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(int(sys.argv[1]))
    else:
        main()
