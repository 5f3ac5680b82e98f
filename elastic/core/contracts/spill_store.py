"""Spill store contract: files of a step that are too large to pass through the master."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from elastic.core.encoding import digest, pack, unpack
from elastic.core.errors import CorruptStoreError, EncodingError


class OpenSpillFile(Protocol):
    """File that is being written."""

    name: str

    def write(self, data: bytes) -> None:
        """Append data."""


class SpillStore(ABC):
    """Store of a step's spill files. Files that no committed row names are ignored, even if incomplete."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """True if this process can write files."""

    @property
    @abstractmethod
    def readable(self) -> bool:
        """True if this process can read the files of other processes."""

    @abstractmethod
    def append(self, data: bytes) -> tuple[str, int]:
        """Append data, and return the file name and the position in it.

        Raises:
            StoreError: The file cannot be written.
        """

    @abstractmethod
    def sync(self) -> None:
        """Wait until all appended data has reached the disk; only then may its position be published.

        Raises:
            StoreError: The data has not reached the disk.
        """

    @abstractmethod
    def read(self, name: str, start: int, size: int) -> bytes:
        """Return bytes of a file.

        Raises:
            CorruptStoreError: The file is missing or too short.
        """

    def describe(self, name: str) -> str:
        """Return the name of a file for messages."""
        return name

    def close(self) -> None:
        """Release files; may be called twice."""

    @abstractmethod
    def create(self, kind: str) -> AbstractContextManager[OpenSpillFile]:
        """Return a new file, which has reached the disk when the context exits.

        Raises:
            StoreError: The file cannot be written.
        """


@dataclass(frozen=True, slots=True)
class SpillBlock:
    """Block of one bucket in a segment."""

    bucket: int
    keys: int
    start: int  #: Offset from the start of the segment.
    size: int
    mark: bytes  #: Digest of the bytes.
    content: bytes  #: Digest of the content, if it is the same in every run; else empty.


@dataclass(frozen=True, slots=True)
class SpillSegment:
    """Reference to consecutive blocks in a file and to the index behind them, whose digest it holds."""

    name: str
    start: int
    size: int
    index_size: int
    keys: int
    mark: bytes

    def blocks(self, spill_store: SpillStore) -> list[SpillBlock]:
        """Return the blocks in the index.

        Raises:
            CorruptStoreError: The index is damaged; names the file.
        """
        at = self.start + self.size - self.index_size
        index = spill_store.read(self.name, at, self.index_size)
        if digest(index) != self.mark:
            raise self._damaged(spill_store, at, self.index_size)
        try:
            return [SpillBlock(*fields) for fields in unpack(index)]
        except (TypeError, EncodingError) as error:
            raise self._damaged(spill_store, at, self.index_size) from error

    def read(self, spill_store: SpillStore, block: SpillBlock) -> bytes:
        """Return the bytes of a block. Raises as `blocks` does."""
        data = spill_store.read(self.name, self.start + block.start, block.size)
        if digest(data) != block.mark:
            raise self._damaged(spill_store, self.start + block.start, block.size)
        return data

    def check(self, spill_store: SpillStore) -> Iterator[CorruptStoreError]:
        """Yield an error for each damaged block."""
        try:
            blocks = self.blocks(spill_store)
        except CorruptStoreError as error:
            yield error
            return
        for block in blocks:
            try:
                self.read(spill_store, block)
            except CorruptStoreError as error:
                yield error

    def _damaged(self, spill_store: SpillStore, start: int, size: int) -> CorruptStoreError:
        place = f"bytes {start} to {start + size} of {spill_store.describe(self.name)}"
        return CorruptStoreError(f"{place} are not as they were written; put back a good copy of the file.")

    def plain(self) -> list[object]:
        """Return plain data from which `SpillSegment(*plain)` rebuilds the segment."""
        return [self.name, self.start, self.size, self.index_size, self.keys, self.mark]


@dataclass(slots=True)
class Index:
    """Index of a segment that is being written."""

    blocks: list[SpillBlock] = field(default_factory=list)
    size: int = 0
    keys: int = 0

    def add(self, bucket: int, keys: int, data: bytes, content: bytes = b"") -> None:
        """Add the block that is written next."""
        self.blocks.append(SpillBlock(bucket, keys, self.size, len(data), digest(data), content))
        self.size += len(data)
        self.keys += keys

    def packed(self) -> bytes:
        """Return the encoded index, which is written behind the blocks."""
        return pack([[b.bucket, b.keys, b.start, b.size, b.mark, b.content] for b in self.blocks])

    def bundle(self, name: str, start: int) -> SpillSegment:
        """Return the segment at a position in a file."""
        index = self.packed()
        return SpillSegment(name, start, self.size + len(index), len(index), self.keys, digest(index))
