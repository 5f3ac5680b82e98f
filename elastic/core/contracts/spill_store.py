"""The depot contract: where workers leave what is too much to pass through the master."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from elastic.core.encoding import digest, pack, unpack
from elastic.core.errors import CorruptStoreError, EncodingError


class OpenSpillFile(Protocol):
    """A file that is being written."""

    name: str

    def write(self, data: bytes) -> None:
        """Write at the end."""


class SpillStore(ABC):
    """Keeps files of a step. What no committed row names does not count, so a file may be left half-written."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """True when this process can leave something."""

    @property
    @abstractmethod
    def readable(self) -> bool:
        """True when this process sees what others have left."""

    @abstractmethod
    def append(self, data: bytes) -> tuple[str, int]:
        """Keep data, and return the name of the file and where in it.

        Raises:
            StoreError: It cannot be written.
        """

    @abstractmethod
    def sync(self) -> None:
        """Return when all that this process has appended has reached the disk; before that nobody may be told of it.

        Raises:
            StoreError: It has not.
        """

    @abstractmethod
    def read(self, name: str, start: int, size: int) -> bytes:
        """Return bytes of a file.

        Raises:
            CorruptStoreError: There is no such file, or it ends before.
        """

    def describe(self, name: str) -> str:
        """Return what to call a file in a message."""
        return name

    def close(self) -> None:
        """Release files; may be called twice."""

    @abstractmethod
    def create(self, kind: str) -> AbstractContextManager[OpenSpillFile]:
        """Return a new file, which has reached the disk when the block is left.

        Raises:
            StoreError: It cannot be written.
        """


@dataclass(frozen=True, slots=True)
class SpillBlock:
    """What a bundle holds of one bucket."""

    bucket: int
    keys: int
    start: int  #: from the beginning of the bundle
    size: int
    mark: bytes  #: digest of the bytes
    content: bytes  #: digest of what is in them, where it is the same in every run; else empty


@dataclass(frozen=True, slots=True)
class SpillSegment:
    """Blocks that follow each other in a file, and behind them an index of them, of which this holds the digest."""

    name: str
    start: int
    size: int
    index_size: int
    keys: int
    mark: bytes

    def blocks(self, depot: SpillStore) -> list[SpillBlock]:
        """Return what the index says.

        Raises:
            CorruptStoreError: It is not as it was written; names the file.
        """
        at = self.start + self.size - self.index_size
        index = depot.read(self.name, at, self.index_size)
        if digest(index) != self.mark:
            raise self._damaged(depot, at, self.index_size)
        try:
            return [SpillBlock(*fields) for fields in unpack(index)]
        except (TypeError, EncodingError) as error:
            raise self._damaged(depot, at, self.index_size) from error

    def read(self, depot: SpillStore, block: SpillBlock) -> bytes:
        """Return the bytes of a block. Raises as `blocks` does."""
        data = depot.read(self.name, self.start + block.start, block.size)
        if digest(data) != block.mark:
            raise self._damaged(depot, self.start + block.start, block.size)
        return data

    def check(self, depot: SpillStore) -> Iterator[CorruptStoreError]:
        """Yield what is wrong with it."""
        try:
            blocks = self.blocks(depot)
        except CorruptStoreError as error:
            yield error
            return
        for block in blocks:
            try:
                self.read(depot, block)
            except CorruptStoreError as error:
                yield error

    def _damaged(self, depot: SpillStore, start: int, size: int) -> CorruptStoreError:
        place = f"bytes {start} to {start + size} of {depot.describe(self.name)}"
        return CorruptStoreError(f"{place} are not as they were written; put back a good copy of the file.")

    def plain(self) -> list[object]:
        """Return plain data, of which `SpillSegment(*plain)` makes the bundle again."""
        return [self.name, self.start, self.size, self.index_size, self.keys, self.mark]


@dataclass(slots=True)
class Index:
    """The index of a bundle that is being written."""

    blocks: list[SpillBlock] = field(default_factory=list)
    size: int = 0
    keys: int = 0

    def add(self, bucket: int, keys: int, data: bytes, content: bytes = b"") -> None:
        """Take in a block that is written next."""
        self.blocks.append(SpillBlock(bucket, keys, self.size, len(data), digest(data), content))
        self.size += len(data)
        self.keys += keys

    def packed(self) -> bytes:
        """Return the bytes that are written behind the blocks."""
        return pack([[b.bucket, b.keys, b.start, b.size, b.mark, b.content] for b in self.blocks])

    def bundle(self, name: str, start: int) -> SpillSegment:
        """Return the bundle, as it lies in a file."""
        index = self.packed()
        return SpillSegment(name, start, self.size + len(index), len(index), self.keys, digest(index))
