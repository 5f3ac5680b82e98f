"""Default chunk store: many chunks in few files, with one write and one sync per group."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.errors import CorruptStoreError, StoreError, StoreFullError
from elastic.core.model.chunk import Chunk
from elastic.persistence.chunk_store.record_format import (
    RecordHeader,
    check_owner,
    read_chunk,
    read_header,
    write_record,
)
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

#: Size at which the store begins a new segment (bytes).
SEGMENT_BYTES = 64 << 20

_NAME = re.compile(r"[0-9]{6,}\.segment", re.ASCII)
#: Bytes per read of a file's tail.
_SCAN_BYTES = 1 << 20


@dataclass(slots=True)
class _Tail:
    """The segment that the store appends to."""

    number: int
    path: Path
    file: int
    size: int = 0
    is_named: bool = False  #: whether its name is synced


class SegmentChunkStore(ChunkStore):
    """Chunk store of append-only segments: `<run>/chunks/step-0000/000000.segment`, `000001.segment`, ...

    A new process finds the chunks of all segments that exist. Deletions are not on disk: as after any crash between a
    commit and its `delete`, the caller deletes the chunks that the last commit covers before it calls `unfinished`.
    A process that is killed while it writes leaves its last record cut short. Such a tail was never put: readers
    ignore it, and the next `put` cuts it off. Any other bytes that are not a record are an error. If a file was
    shortened at the boundary between two records, nothing shows it.

    The store removes a segment when all its chunks are deleted, unless it appends to it. On a full disk it begins the
    next segment at once, so that it can remove the one before.

    Args:
        run_folder: Folder of the run.
        run_id: Id of the run.
        step: Number of the step.
        segment_bytes: Size at which the store begins a new segment.
        read_only: Whether the store refuses to write.
        reserve: Space to release when the disk is full.
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
        self._counts: Counter[int] = Counter()  # segment number -> undeleted chunks
        self._torn: tuple[Path, int] | None = None  # the segment that a crash cut short, and the offset of the cut
        self._next = 0
        self._tail: _Tail | None = None

    def put(self, kept: Sequence[StoredChunk]) -> None:
        self._folder.check_usable(writing=True)
        places = self._index()
        new: dict[int, bytes] = {}
        for stored in kept:
            chunk_id = stored.chunk.chunk_id
            if chunk_id not in places and chunk_id not in new:
                new[chunk_id] = write_record(self._folder.run_id, self._folder.step, stored)
        if not new:
            return
        try:
            tail = self._open_tail()
            self._append(tail, b"".join(new.values()))
        except StoreFullError:
            self._make_room()
            raise
        if self._reserve is not None:
            self._reserve.acquire()
        for chunk_id, record in new.items():
            places[chunk_id] = (tail.number, tail.size)
            tail.size += len(record)
        self._counts[tail.number] += len(new)

    def get(self, chunk_id: int) -> Chunk:
        self._folder.check_usable(writing=False)
        place = self._index().get(chunk_id)
        if place is None:
            raise LookupError(f"chunk {chunk_id} is not stored in {self._folder.path}")
        number, offset = place
        path = self._path(number)
        try:
            file = open_file(path)
        except OSError as error:
            raise CorruptStoreError(
                f"{path}, which holds chunk {chunk_id}, cannot be read ({error.strerror}); restore the file."
            ) from error
        try:
            header = read_header(file, offset, os.fstat(file).st_size)
            if header is None or header.stored.chunk.chunk_id != chunk_id:
                raise CorruptStoreError("the record of another chunk is here")
            check_owner(header, self._folder.run_id, self._folder.step)
            return read_chunk(file, header)
        except CorruptStoreError as error:
            raise _damaged(path, offset, f"chunk {chunk_id}", error) from error
        finally:
            os.close(file)

    def delete(self, chunk_ids: Iterable[int]) -> None:
        self._folder.check_usable(writing=True)
        places = self._index()
        touched = set()
        for chunk_id in chunk_ids:
            place = places.pop(chunk_id, None)
            if place is not None:
                self._counts[place[0]] -= 1
                touched.add(place[0])
        for number in touched:
            self._remove_if_unused(number)

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
        self._counts.clear()

    def close(self) -> None:
        if self._tail is not None:
            os.close(self._tail.file)
            self._tail = None

    # Writing

    def _open_tail(self) -> _Tail:
        """Return the segment to append to: a new one in a new process, and after a full one."""
        if self._tail is not None:
            if self._tail.size < self._segment_bytes:
                return self._tail
            number = self._tail.number
            self.close()
            self._remove_if_unused(number)
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
        """Cut off a record that a crash left incomplete, before a newer segment makes it look like damage."""
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
            os.ftruncate(tail.file, tail.size)  # an interrupted put may have left bytes
            write_at(tail.file, data, tail.size)
        except OSError as error:
            self._truncate(tail)
            if is_full(error):
                raise store_error(error, tail.path) from error
            raise self._folder.fail(f"{tail.path} could not be written ({error.strerror}); check the disk.") from error
        try:
            sync_file(tail.file)
            if not tail.is_named:
                sync_folder(self._folder.path)
                tail.is_named = True
        except OSError as error:
            raise self._folder.fail(
                f"{tail.path} was not synced to the disk ({error.strerror}); check the disk."
            ) from error

    def _make_room(self) -> None:
        """Release the reserve, and close the last segment, which can be removed once all its chunks are deleted."""
        if self._reserve is not None:
            self._reserve.release()
        if self._tail is not None:
            number = self._tail.number
            self.close()
            self._remove_if_unused(number)

    def _truncate(self, tail: _Tail) -> None:
        """Cut off an incomplete record: bytes after the last record would look like damage."""
        try:
            os.ftruncate(tail.file, tail.size)
            sync_file(tail.file)  # once a newer segment follows, an incomplete record here counts as damage
        except OSError as error:
            raise self._folder.fail(
                f"{tail.path} could not be truncated ({error.strerror}); check the disk."
            ) from error

    def _remove_if_unused(self, number: int) -> None:
        if self._counts[number] == 0 and (self._tail is None or self._tail.number != number):
            del self._counts[number]
            self._folder.remove_file(self._path(number).name)
            if self._torn is not None and self._torn[0] == self._path(number):
                self._torn = None

    # Reading

    def _path(self, number: int) -> Path:
        return self._folder.path / f"{number:06}.segment"

    def _index(self) -> dict[int, tuple[int, int]]:
        """Return segment and offset of each chunk; the first call reads all segments."""
        if self._places is None:
            numbers = sorted(int(name.split(".")[0]) for name in self._folder.names() if _NAME.fullmatch(name))
            places: dict[int, tuple[int, int]] = {}
            for number in numbers:
                # A chunk that was put again after its deletion has two records: the later one counts.
                places.update(self._scan(number, is_last=number == numbers[-1]))
            self._counts.update(number for number, _ in places.values())
            self._next = numbers[-1] + 1 if numbers else 0
            self._places = places
        return self._places

    def _scan(self, number: int, *, is_last: bool) -> Iterator[tuple[int, tuple[int, int]]]:
        path = self._path(number)
        try:
            file = open_file(path)
        except FileNotFoundError:
            return  # a master removed it after the folder was listed
        except OSError as error:
            raise CorruptStoreError(f"{path} is not a segment ({error.strerror}); restore the file.") from error
        try:
            for offset, header in self._records(file, path, is_last=is_last):
                yield header.stored.chunk.chunk_id, (number, offset)
            if is_last:
                self._folder.sync(file)
        finally:
            os.close(file)

    def _records(self, file: int, path: Path, *, is_last: bool) -> Iterator[tuple[int, RecordHeader]]:
        size, offset, before = os.fstat(file).st_size, 0, "the first chunk"
        while offset < size:
            try:
                header = read_header(file, offset, size)
                if header is not None:
                    check_owner(header, self._folder.run_id, self._folder.step)
                elif not is_last:
                    raise CorruptStoreError("the file ends inside a record")
            except CorruptStoreError as error:
                if not is_last or not _is_unwritten(file, offset):
                    raise _damaged(path, offset, before, error) from error
                header = None
            except StoreError as error:
                raise StoreError(f"{path}: {error}; use the version that wrote it.") from error
            if header is None:
                self._torn = (path, offset)
                return
            yield offset, header
            offset, before = header.end, f"the chunk after chunk {header.stored.chunk.chunk_id}"


def _is_unwritten(file: int, offset: int) -> bool:
    """Return whether only zeros follow: a file system may extend a file before it writes the appended data."""
    while part := read_at(file, _SCAN_BYTES, offset):
        if part.strip(b"\0"):
            return False
        offset += len(part)
    return True


def _damaged(path: Path, offset: int, which: str, reason: Exception) -> CorruptStoreError:
    return CorruptStoreError(
        f"{path}, byte {offset} ({which}): {reason}; its entries cannot be read; restore a good copy of the file or "
        "begin a new run."
    )
