"""Columns of a batch's chunks: the data from which receipts are made."""

import struct
from dataclasses import dataclass, replace

from elastic.core.encoding import digest
from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import UNCOUNTED, UNREAD


@dataclass(frozen=True, slots=True)
class ChunkColumns:
    """Columns of the consecutive chunks of one batch: one element, or 16 bytes, per chunk."""

    #: Id of the first chunk.
    first: int
    #: 1 for chunks that are sent for the first time.
    attempt: int
    #: Microseconds since 1970 when each chunk was cut.
    cut_at: tuple[int, ...]
    #: Number of entries; UNCOUNTED until the chunks are read.
    entries: tuple[int, ...]
    #: Digests of the data that was read, 16 bytes each; UNREAD until the chunks are read.
    contents: bytes

    @property
    def stop(self) -> int:
        """One past the last chunk id."""
        return self.first + len(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def uncounted(self) -> "ChunkColumns":
        """Return these columns as they are before a worker has read the chunks."""
        return replace(self, entries=(UNCOUNTED,) * len(self), contents=UNREAD * len(self))

    def content(self, index: int) -> bytes:
        """Return the digest of the chunk at `index`."""
        return self.contents[16 * index : 16 * index + 16]

    def digest_input(self) -> bytes:
        """Return 16 bytes that identify the chunks: the input of the links of their receipts.

        Raises:
            ReceiptError: A number does not fit into a receipt.
        """
        count = len(self)
        try:
            numbers = struct.pack(f">QII{2 * count}q", self.first, self.attempt, count, *self.cut_at, *self.entries)
        except struct.error as error:
            raise ReceiptError(f"invalid receipt data: chunk {self.first} and following ({error}).") from error
        return digest(numbers + self.contents)


class ChunkSpan:
    """Mixin of records about the chunks of one batch: the ids of the chunks, from the record's `columns`."""

    __slots__ = ()

    columns: ChunkColumns

    @property
    def first(self) -> int:
        """Id of the first chunk."""
        return self.columns.first

    @property
    def stop(self) -> int:
        """One past the last chunk id."""
        return self.columns.stop
