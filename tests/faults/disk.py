"""A simulated disk: it keeps commits, may refuse writes, and loses unsynced data if its machine fails."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from elastic.core.contracts.store import ChunkStore, Commit, RunStore, StepRecord, StoredChunk
from elastic.core.errors import FencedError, StoreError, StoreFullError
from elastic.core.model.failure import DeadLetter
from elastic.core.model.receipt_row import ReceiptRow
from elastic.persistence.run_store.memory_store import MemoryChunkStore, MemoryRunStore
from tests.faults.fault_rng import Crash, Weather

RUN_ID = "simulated-run"
KEY = bytes(range(32))


class Disk:
    """Data that outlives a master."""

    def __init__(self, kind: type[MemoryRunStore] = MemoryRunStore) -> None:
        self.run = kind(RUN_ID, KEY)
        self.chunks = MemoryChunkStore()
        self.epoch = 0
        #: epochs of the masters that wrote, in their order
        self.writers: list[int] = []
        #: deleted chunks, which may return after a failure
        self.deleted: dict[int, StoredChunk] = {}
        #: unsynced chunks, in the order of their writes
        self.unsynced: list[StoredChunk] = []

    def fail(self, weather: Weather) -> None:
        """Let the machine fail: unsynced chunks may be lost, deleted ones may return."""
        self.chunks.delete(kept.chunk.chunk_id for kept in self.unsynced if weather.rng.random() < 0.8)
        self.unsynced.clear()
        back = [kept for kept in self.deleted.values() if weather.strikes("deleted chunk back", 0.1)]
        self.chunks.put(back)
        self.deleted.clear()


class SimulatedChunkStore(ChunkStore):
    """Chunk store of a one-shot step that keeps just the promises of `put` and `delete`."""

    def __init__(self, disk: Disk, weather: Weather) -> None:
        self._disk, self._weather = disk, weather

    def put(self, kept: Sequence[StoredChunk]) -> None:
        if self._weather.refuses("disk full", 0.005):
            raise StoreFullError("the disk is full; free some space and try again.")
        if kept and self._weather.ends_master("master killed in the middle of keeping chunks", 0.01):
            self._disk.chunks.put(kept[: self._weather.rng.randrange(len(kept))])
            raise Crash("put")
        self.write(kept)
        self._weather.may_crash("after it kept chunks")

    def write(self, kept: Sequence[StoredChunk]) -> None:
        self._disk.chunks.put(kept)

    def get(self, chunk_id: int) -> Any:
        return self._disk.chunks.get(chunk_id)

    def delete(self, chunk_ids: Iterable[int]) -> None:
        self._weather.may_crash("before it deleted chunks")
        for chunk_id in chunk_ids:
            if chunk_id in set(self._disk.chunks.unfinished()):
                self._disk.deleted[chunk_id] = StoredChunk(self._disk.chunks.get(chunk_id), "")
                self._disk.chunks.delete([chunk_id])
            self._weather.may_crash("between two deletions", 0.002)

    def unfinished(self) -> Iterator[int]:
        return self._disk.chunks.unfinished()


class SimulatedRunStore(RunStore):
    """Run store as a master of some epoch has it open.

    Args:
        disk: The disk of the run.
        weather: Decides the faults.
        replaced: Simulates the time while this master is frozen: a newer master completes the run.
    """

    chunk_store: type[SimulatedChunkStore] = SimulatedChunkStore

    def __init__(self, disk: Disk, weather: Weather, replaced: Callable[[], None]) -> None:
        disk.epoch += 1
        self.run_id, self.key, self.epoch = RUN_ID, KEY, disk.epoch
        self.disk, self.weather, self._replaced = disk, weather, replaced
        #: True once the process of this master has ended
        self.is_dead = False
        self._failure: StoreError | None = None
        self._chunks = self.chunk_store(disk, weather)

    def begin(self, step: int, name: str, manifest: dict[str, Any], started_at: float) -> None:
        self._check()
        self.weather.may_crash("before its step began", 0.02)
        self.disk.run.begin(step, name, manifest, started_at)
        self.weather.may_crash("after its step began", 0.02)

    def commit(self, step: int, commit: Commit) -> None:
        if self.weather.ends_master("master frozen past its replacement", 0.03):
            self.weather.fatal.append("frozen")
            self._replaced()
        self._check()
        self.weather.may_crash("before a commit", 0.06)
        is_written = not self.weather.refuses("commit refused by the disk", 0.005)
        if is_written:
            self.write(step, commit)
        if not is_written or self.weather.refuses("commit that was kept and reported as refused", 0.005):
            self._failure = StoreError("the disk reported an error.")
            raise self._failure
        self.weather.may_crash("after a commit", 0.06)

    def write(self, step: int, commit: Commit) -> None:
        """Store a whole commit, or nothing of it."""
        self.disk.writers.append(self.epoch)
        self.disk.run.commit(step, commit)

    def end(self, step: int, state: str, ended_at: float, error: str | None = None) -> None:
        if self.is_dead:
            return
        self._check()
        self.weather.may_crash("before its end was recorded", 0.05)
        self.disk.writers.append(self.epoch)
        self.disk.run.end(step, state, ended_at, error)
        self.weather.may_crash("after its end was recorded", 0.05)

    def steps(self) -> list[StepRecord]:
        return self.disk.run.steps()

    def partials(self, step: int) -> Iterator[bytes]:
        return self.disk.run.partials(step)

    def receipts(self, step: int) -> Iterator[ReceiptRow]:
        return self.disk.run.receipts(step)

    def dead_letters(self, step: int) -> Iterator[DeadLetter]:
        return self.disk.run.dead_letters(step)

    def chunks(self, step: int) -> ChunkStore:
        return self._chunks

    def is_fenced(self) -> bool:
        """Return whether a newer master has opened the run."""
        return self.epoch != self.disk.epoch

    def _check(self) -> None:
        if self.is_fenced():
            raise FencedError(self.run_id, self.epoch)
        if self._failure is not None:
            raise self._failure
