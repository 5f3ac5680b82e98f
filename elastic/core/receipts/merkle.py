"""Merkle roots: one hash over the chunks of a step in the order of their ids, in whatever order they come.

The tree is that of RFC 9162, section 2.1.1: a leaf is hashed behind the byte 0x00, two nodes behind 0x01, and the left
one of two subtrees has the largest power of two of leaves that leaves something for the right one. The hash is
BLAKE2b-256 (RFC 7693), personalised, instead of SHA-256.
"""

import struct
from collections.abc import Iterable
from hashlib import blake2b

from elastic.core.errors import LedgerError
from elastic.core.model.receipt_row import ReceiptRow

_BASE = blake2b(digest_size=32, person=b"elastic chunks")
_LEAF, _NODE = _BASE.copy(), _BASE.copy()
_LEAF.update(b"\x00")
_NODE.update(b"\x01")

#: chunk id, entries, entries that failed, digest of what was read
_CHUNK = struct.Struct(">QQQ16s")
#: what is of one run only: attempt, digest of the partial, last link
_DELIVERY = struct.Struct(">I16s16s")

#: The number of the definition of roots: of the tree, of a leaf, and of the bytes that each source says it has read.
#: A run keeps it; roots of another number cannot be compared. 1: the bytes of a range were msgpack; 2: they are text.
ROOT_VERSION = 2

#: Letters of a root that are shown to people: 64 bits.
SHOWN = 16


class MerkleTree:
    """A Merkle tree that leaves join in any order; keeps only subtrees whose neighbour is not there yet.

    So it takes memory for each gap between the leaves, times the logarithm of their number, and next to nothing when
    they come in order.
    """

    __slots__ = ("_levels", "leaves")

    def __init__(self) -> None:
        #: leaves that were added
        self.leaves = 0
        #: for each height the roots of complete subtrees that wait for their neighbour, by their number from the left
        self._levels: list[dict[int, bytes]] = []

    def add(self, first: int, leaves: Iterable[bytes]) -> None:
        """Add the data of consecutive leaves; `first` is the index of the first of them."""
        hashes = list(map(_leaf, leaves))
        self.leaves += len(hashes)
        level = 0
        # Neighbours that came together are joined level by level; what is left at the ends waits for others.
        while hashes:
            if first & 1:
                self._join(level, first, hashes.pop(0))
                first += 1
            if len(hashes) & 1:
                self._join(level, first + len(hashes) - 1, hashes.pop())
            hashes = [_node(pair) for pair in map(bytes.__add__, hashes[::2], hashes[1::2])]
            first >>= 1
            level += 1

    def root(self, leaves: int | None = None) -> bytes:
        """Return the root, 32 bytes; the tree must have `leaves` leaves, if given.

        Raises:
            LedgerError: A leaf is missing, or one was added twice.
        """
        rest = self.leaves if leaves is None else leaves
        waiting = [(level, number) for level, nodes in enumerate(self._levels) for number in nodes]
        expected = [(level, (rest >> level) - 1) for level in range(rest.bit_length()) if rest >> level & 1]
        if waiting != expected or rest != self.leaves:
            raise LedgerError(f"{self.leaves} chunks were folded, but they are not the first {rest}, each once")
        if not waiting:
            return _BASE.digest()
        (level, number), *others = waiting
        root = self._levels[level][number]
        for level, number in others:
            root = _node(self._levels[level][number] + root)
        return root

    def _join(self, level: int, number: int, node: bytes) -> None:
        """Add the root of a complete subtree, and combine it with its neighbour while one exists."""
        while True:
            while len(self._levels) <= level:
                self._levels.append({})
            neighbour = self._levels[level].pop(number ^ 1, None)
            if neighbour is None:
                self._levels[level][number] = node
                return
            node = _node(neighbour + node if number & 1 else node + neighbour)
            level, number = level + 1, number >> 1


class InputTree(MerkleTree):
    """Merkle tree of the input: its root does not depend on workers, transport, order or retries.

    A leaf contains a chunk's id, its number of entries and of failed entries, and the digest of its content.
    """

    __slots__ = ()

    def fold(self, row: ReceiptRow) -> None:
        """Add the chunks of a row."""
        self.add(row.first, _chunks(row))


class ReceiptTree(MerkleTree):
    """Merkle tree of one run: its root covers all of its receipts.

    A leaf is the leaf of the `InputTree`, the attempt, the digest of the partial, and the link of stage AGGREGATED.
    """

    __slots__ = ()

    def fold(self, row: ReceiptRow) -> None:
        """Add the chunks of a row."""
        delivery = _DELIVERY.pack(row.columns.attempt, row.states, row.link)
        self.add(row.first, [chunk + delivery for chunk in _chunks(row)])


def _chunks(row: ReceiptRow) -> list[bytes]:
    failed = row.failed or (0,) * row.count
    columns = row.columns
    contents = map(columns.content, range(row.count))
    return list(map(_CHUNK.pack, range(row.first, row.stop), columns.entries, failed, contents))


def _leaf(data: bytes) -> bytes:
    hasher = _LEAF.copy()
    hasher.update(data)
    return hasher.digest()


def _node(pair: bytes) -> bytes:
    hasher = _NODE.copy()
    hasher.update(pair)
    return hasher.digest()
