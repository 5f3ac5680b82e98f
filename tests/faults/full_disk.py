"""Run of a generator on a disk of 8 MB that a second writer fills: `python -m tests.faults.full_disk FOLDER SEED`.

The seed decides how: chunks in flight free space, the second writer frees it after a while, or not until the run is
suspended and resumed. Prints a line for each event of the run, the number of entries, and `right` or the error.
"""

import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import elastic
from elastic.core.errors import StepSuspendedError

#: Number of entries of a kilobyte that cannot be compressed; together twice the disk.
_ENTRIES = 16_000
_WAYS = ("disk full, what is in flight makes room", "disk full, room after a while", "disk full, suspended and resumed")

#: Free bytes that remain.
_LEFT = 150_000


class Filler(elastic.Interceptor):
    """Fills the disk when a number of chunks are in the result, and keeps it full until there is to be room.

    Args:
        folder: A folder on that disk.
        chunks: Number of chunks in the result.
        keeps: Whether it also fills space that becomes free.
    """

    def __init__(self, folder: Path, chunks: int, *, keeps: bool) -> None:
        self._folder = folder / "filler"
        self._folder.mkdir()
        self._chunks, self._keeps = chunks, keeps
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._fill_for_ever, daemon=True)

    def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
        self._chunks -= 1
        if self._chunks == 0:
            self._fill()
            if self._keeps:
                self._thread.start()

    def make_room(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for path in self._folder.iterdir():
            path.unlink()

    def _fill_for_ever(self) -> None:
        while not self._over.wait(0.001):
            self._fill()

    def _fill(self) -> None:
        system = os.statvfs(self._folder)
        free = system.f_bavail * system.f_frsize - _LEFT
        if free > 0:
            path = self._folder / str(len(list(self._folder.iterdir())))
            try:
                path.write_bytes(bytes(free))
            except OSError:
                path.unlink(missing_ok=True)


def _entries() -> Iterator[bytes]:
    for number in range(_ENTRIES):
        yield number.to_bytes(4, "big") + random.Random(number).randbytes(1020)


def _number(entry: bytes) -> int:
    return int.from_bytes(entry[:4], "big")


def main(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    way = seed % 3
    size = rng.choice((50, 100, 150)) if way == 0 else rng.choice((200, 400, 800))
    flow = elastic.from_iterable(_entries(), chunk_size=size).map(_number).aggregate("sum")
    filler = Filler(folder, rng.randrange(1, 6), keeps=way == 2)
    options = {"cluster": "inline", "home": folder / "home", "collect_interval": 0.01, "max_bytes_in_flight": 1 << 20}
    options["chunk_store"] = rng.choice(("segment", "directory"))
    if way == 1:
        threading.Timer(2.0, filler.make_room).start()
    befell = _WAYS[way]
    try:
        result = flow.run(**options, disk_full_timeout=0.5 if way == 2 else 60.0, interceptor=filler)
        befell = befell if way != 2 else "disk full, and not suspended"
    except StepSuspendedError:
        filler.make_room()
        again = elastic.from_iterable(_entries(), chunk_size=size).map(_number).aggregate("sum")
        del options["chunk_store"]
        result = elastic.resume("last", again, reread_source=True, **options)
        befell = _WAYS[2]
    is_right = (result.value, result.entries) == (sum(range(_ENTRIES)), _ENTRIES)
    verified = elastic.verify("last", home=folder / "home").ok
    verdict = "right" if is_right and verified else f"the answer is {result.value} of {result.entries}, {verified}"
    sys.stdout.write(f"{befell}\n{result.entries}\n{verdict}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
