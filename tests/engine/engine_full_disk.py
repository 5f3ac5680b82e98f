"""Run of a generator on a disk of 16 MB, in a separate process: `engine_full_disk.py FOLDER HOW`.

`makes_room`: chunks in flight return and free space. `waits`: another writer frees it after a while. `gives_up`: no one
does until the run is suspended; then a generator that begins again resumes it. `goes_on`: the same, but the suspended
generator resumes it.
"""

import contextlib
import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import elastic

#: Number of entries of 4 KB that cannot be compressed; together twice the disk.
ENTRIES = 8000


def entries() -> Iterator[bytes]:
    for number in range(ENTRIES):
        yield number.to_bytes(4, "big") + random.Random(number).randbytes(4096)


def number_of(entry: bytes) -> int:
    return int.from_bytes(entry[:4], "big")


class FillsTheDisk(elastic.Interceptor):
    """Fills the disk once the first chunks are in the result."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "filler"
        self._folder.mkdir()
        self.is_filled = threading.Event()
        self.is_left = threading.Event()
        self.thread = threading.Thread(target=self.fill_for_ever, daemon=True)

    def aggregated(self, receipt: elastic.Receipt, task_count: int) -> None:
        if not self.is_filled.is_set():
            self.fill()

    def fill(self) -> None:
        system = os.statvfs(self._folder)
        free = system.f_bavail * system.f_frsize
        if free > 200_000:
            number = len(list(self._folder.iterdir()))
            (self._folder / str(number)).write_bytes(bytes(free - 200_000))
        self.is_filled.set()

    def fill_for_ever(self) -> None:
        """Fill all space that becomes free."""
        self.is_filled.wait()
        while not self.is_left.wait(0.001):
            with contextlib.suppress(OSError):
                self.fill()

    def make_room(self) -> None:
        self.is_left.set()
        if self.thread.is_alive():
            self.thread.join()
        for filler in self._folder.iterdir():
            filler.unlink()


def main(folder: Path, how: str) -> None:
    # A chunk of 6 MB does not fit into the reserve for commits, one of 200 KB does.
    flow = elastic.from_iterable(entries(), chunk_size=50 if how == "makes_room" else 1500)
    flow = flow.map(number_of).aggregate("sum")
    fills = FillsTheDisk(folder)
    gives_up = how in ("gives_up", "goes_on")
    if gives_up:
        fills.thread.start()
    if how == "waits":
        threading.Timer(2.0, fills.make_room).start()
    options = {"cluster": "inline", "home": folder / "home", "collect_interval": 0.01, "max_bytes_in_flight": 4 << 20}
    try:
        patience = 0.5 if gives_up else 60.0
        result = flow.run(**options, disk_full_timeout=patience, interceptor=fills)
    except elastic.ElasticError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
        fills.make_room()
        if how == "goes_on":
            result = elastic.resume("last", flow, **options)
        else:
            again = elastic.from_iterable(entries(), chunk_size=1500).map(number_of).aggregate("sum")
            result = elastic.resume("last", again, reread_source=True, **options)
    sys.stdout.write(f"{result.value == sum(range(ENTRIES))} {result.entries}\n")
    sys.stdout.write(f"{elastic.verify('last', home=folder / 'home').ok}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
