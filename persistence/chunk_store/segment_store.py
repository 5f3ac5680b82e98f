"""The default chunk store: many chunks in few files, one write and one sync for each group."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.errors import CorruptStoreError, StoreError, StoreFullError
from elastic.core.model.chunk import Chunk
from elastic.persistence.chunk_store.record_format import RecordHeader, check_owner, read_chunk, read_head, write_record
from elastic.persistence.chunk_store.step_folder import StepFolder
from elastic.persistence.disk_reserve import DiskReserve
from elastic.persistence.durable_file import (
    create_file,
    is_full,
    open_file,
    read_at,
    store_error,
    sync_file,
    sync_folder,
    write_at,
)

#: A segment that has reached this size (bytes) is not appended to any more.
SEGMENT_BYTES = 64 << 20

_NAME = re.compile(r"[0-9]{6,}\.segment", re.ASCII)
_ZERO_SCAN = 1 << 20


@dataclass(slots=True)
class _Tail:
    """The segment that is being appended to."""

    number: int
    path: Path
    file: int
    size: int = 0
    is_named: bool = False  #: its name has reached the disk


class SegmentChunkStore(ChunkStore):
    """Appends chunks to `<run>/chunks/step-0000/000000.segment`, `000001.segment`, ... in groups.

    A new process finds all chunks of segments that still exist. Which of them were deleted is not on disk: as after
    any crash between a commit and its `delete`, the caller calls `delete` for what the last commit covers before
    it asks for `unfinished`. A process that was killed while writing leaves its last record cut short; such a tail
    was never put and is passed over, and cut off before the next `put`. Anything else that is not a
    record is an error. A file that somebody shortened at a boundary of records cannot be told from one never longer.

    A segment is removed when all its chunks are deleted and it is not the one that is appended to. On a full disk the
    next segment is begun at once, so that the one before it can be removed.

    Args:
        run_folder: The folder of the run.
        run_id: The run.
        step: The step.
        segment_bytes: A segment that has reached this size is not appended to any more.
        read_only: Refuses to write.
        reserve: Room to give up when the disk is full; None for none.
    """

    def __init__(
        self,
        run_folder: Path,
        run_id: str,
        step: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        read_only: bool = False,
        reserve: DiskReserve | None = None,
    ) -> None:
        self._folder = StepFolder(run_folder, run_id, step, read_only=read_only)
        self._reserve = reserve
        self._segment_bytes = segment_bytes
        self._places: dict[int, tuple[int, int]] | None = None  # chunk id -> segment number, offset
        self._kept: Counter[int] = Counter()  # segment number -> chunks kept in it
        self._torn: tuple[Path, int] | None = None  # the segment that a crash cut short, and where
        self._next = 0
        self._tail: _Tail | None = None

    def put(self, kept: Sequence[StoredChunk]) -> None:
        self._folder.check_usable(writing=True)
        places = self._index()
        fresh: dict[int, bytes] = {}
        for one in kept:
            chunk_id = one.chunk.chunk_id
            if chunk_id not in places and chunk_id not in fresh:
                fresh[chunk_id] = write_record(self._folder.run_id, self._folder.step, one)
        if not fresh:
            return
        try:
            tail = self._open_tail()
            self._append(tail, b"".join(fresh.values()))
        except StoreFullError:
            self._make_room()
            raise
        if self._reserve is not None:
            self._reserve.acquire()
        for chunk_id, record in fresh.items():
            places[chunk_id] = (tail.number, tail.size)
            tail.size += len(record)
        self._kept[tail.number] += len(fresh)

    def get(self, chunk_id: int) -> Chunk:
        self._folder.check_usable(writing=False)
        place = self._index().get(chunk_id)
        if place is None:
            raise LookupError(f"chunk {chunk_id} is not kept in {self._folder.path}")
        number, offset = place
        path = self._path(number)
        try:
            file = open_file(path)
        except OSError as error:
            raise CorruptStoreError(
                f"{path}, which holds chunk {chunk_id}, cannot be read: {error.strerror}."
            ) from error
        try:
            head = read_head(file, offset, os.fstat(file).st_size)
            if head is None or head.kept.chunk.chunk_id != chunk_id:
                raise CorruptStoreError("another record lies here")
            check_owner(head, self._folder.run_id, self._folder.step)
            return read_chunk(file, head)
        except CorruptStoreError as error:
            raise _damaged(path, offset, f"chunk {chunk_id}", error) from error
        finally:
            os.close(file)

    def delete(self, chunk_ids: Iterable[int]) -> None:
        self._folder.check_usable(writing=True)
        places = self._index()
        emptied = set()
        for chunk_id in chunk_ids:
            place = places.pop(chunk_id, None)
            if place is not None:
                self._kept[place[0]] -= 1
                emptied.add(place[0])
        for number in emptied:
            self._remove_if_done(number)

    def unfinished(self) -> Iterator[int]:
        self._folder.check_usable(writing=False)
        return iter(sorted(self._index()))

    def clean(self) -> None:
        self._folder.check_usable(writing=True)
        self.close()
        for name in self._folder.names():
            if _NAME.fullmatch(name):
                self._folder.remove_file(name)
        self._folder.remove_if_empty()
        self._places, self._torn, self._next = None, None, 0
        self._kept.clear()

    def close(self) -> None:
        if self._tail is not None:
            os.close(self._tail.file)
            self._tail = None

    # Writing

    def _open_tail(self) -> _Tail:
        """Return the segment to append to: a new one in a new process, and when the last one is full."""
        if self._tail is not None:
            if self._tail.size < self._segment_bytes:
                return self._tail
            number = self._tail.number
            self.close()
            self._remove_if_done(number)
        path = self._path(self._next)
        try:
            self._folder.make()
            self._cut_torn_tail()
            file = create_file(path)
        except OSError as error:
            raise store_error(error, path) from error
        self._tail = _Tail(self._next, path, file)
        self._next += 1
        return self._tail

    def _cut_torn_tail(self) -> None:
        """Cut off what a crash left half written, before a newer segment makes it look like damage."""
        if self._torn is None:
            return
        path, size = self._torn
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.ftruncate(file, size)
            sync_file(file)
        finally:
            os.close(file)
        self._torn = None

    def _append(self, tail: _Tail, data: bytes) -> None:
        try:
            os.ftruncate(tail.file, tail.size)  # a put that was interrupted may have left something
            write_at(tail.file, data, tail.size)
        except OSError as error:
            self._take_back(tail)
            if is_full(error):
                raise store_error(error, tail.path) from error
            raise self._folder.fail(f"{tail.path} could not be written ({error.strerror}); check the disk.") from error
        try:
            sync_file(tail.file)
            if not tail.is_named:
                sync_folder(self._folder.path)
                tail.is_named = True
        except OSError as error:
            raise self._folder.fail(f"{tail.path} did not reach the disk ({error.strerror}); check it.") from error

    def _make_room(self) -> None:
        """Give up the reserve, and append no more to a segment that could be removed if it were not the last."""
        if self._reserve is not None:
            self._reserve.release()
        if self._tail is not None:
            number = self._tail.number
            self.close()
            self._remove_if_done(number)

    def _take_back(self, tail: _Tail) -> None:
        """Leave nothing half written: what lies behind the last record would look like damage."""
        try:
            os.ftruncate(tail.file, tail.size)
            sync_file(tail.file)  # a newer segment may follow, and then half a record here would be damage
        except OSError as error:
            raise self._folder.fail(f"{tail.path} could not be cut back ({error.strerror}); check the disk.") from error

    def _remove_if_done(self, number: int) -> None:
        if self._kept[number] == 0 and (self._tail is None or self._tail.number != number):
            del self._kept[number]
            self._folder.remove_file(self._path(number).name)
            if self._torn is not None and self._torn[0] == self._path(number):
                self._torn = None

    # Reading what is there

    def _path(self, number: int) -> Path:
        return self._folder.path / f"{number:06}.segment"

    def _index(self) -> dict[int, tuple[int, int]]:
        """Return where each chunk lies, read from the disk at the first use."""
        if self._places is None:
            numbers = sorted(int(name.split(".")[0]) for name in self._folder.names() if _NAME.fullmatch(name))
            places: dict[int, tuple[int, int]] = {}
            for number in numbers:
                # A chunk that was put again after it was deleted lies there twice: the later record counts.
                places.update(self._scan(number, is_last=number == numbers[-1]))
            self._kept.update(number for number, _ in places.values())
            self._next = numbers[-1] + 1 if numbers else 0
            self._places = places
        return self._places

    def _scan(self, number: int, *, is_last: bool) -> Iterator[tuple[int, tuple[int, int]]]:
        path = self._path(number)
        try:
            file = open_file(path)
        except FileNotFoundError:
            return  # a master has removed it since its name was read
        except OSError as error:
            raise CorruptStoreError(f"{path} is not a segment: {error.strerror}.") from error
        try:
            for offset, head in self._records(file, path, is_last=is_last):
                yield head.kept.chunk.chunk_id, (number, offset)
            if is_last:
                self._folder.settle(file)
        finally:
            os.close(file)

    def _records(self, file: int, path: Path, *, is_last: bool) -> Iterator[tuple[int, RecordHeader]]:
        size, offset, before = os.fstat(file).st_size, 0, "the first chunk"
        while offset < size:
            try:
                head = read_head(file, offset, size)
                if head is not None:
                    check_owner(head, self._folder.run_id, self._folder.step)
                elif not is_last:
                    raise CorruptStoreError("the file ends inside a record")
            except CorruptStoreError as error:
                if not is_last or not _is_unwritten(file, offset):
                    raise _damaged(path, offset, before, error) from error
                head = None
            except StoreError as error:
                raise StoreError(f"{path}: {error}; use the version that wrote it.") from error
            if head is None:
                self._torn = (path, offset)
                return
            yield offset, head
            offset, before = head.end, f"the chunk after chunk {head.kept.chunk.chunk_id}"


def _is_unwritten(file: int, offset: int) -> bool:
    """Tell whether only zeros follow: a file system may grow a file before it writes what was appended."""
    while part := read_at(file, _ZERO_SCAN, offset):
        if part.strip(b"\0"):
            return False
        offset += len(part)
    return True


def _damaged(path: Path, offset: int, which: str, reason: Exception) -> CorruptStoreError:
    return CorruptStoreError(
        f"{path}, byte {offset} ({which}): {reason}; its entries are lost here, so put back a good copy of the file "
        "or begin a new run."
    )
