"""Merkle trees: the root of RFC 9162, for any order of leaves."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.core.errors import LedgerError
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.merkle import InputTree, MerkleTree, ReceiptTree
from tests.core.column_samples import with_changes


def hashed(data: bytes) -> bytes:
    return blake2b(data, digest_size=32, person=b"elastic chunks").digest()


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root by the recursive definition of RFC 9162, section 2.1.1."""
    if not leaves:
        return hashed(b"")
    if len(leaves) == 1:
        return hashed(b"\x00" + leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashed(b"\x01" + root_of(leaves[:half]) + root_of(leaves[half:]))


def row(first: int, count: int) -> ReceiptRow:
    numbers = range(first, first + count)
    contents = b"".join(number.to_bytes(16, "big") for number in numbers)
    return ReceiptRow(ChunkColumns(first, 1, (1,) * count, tuple(numbers), contents), "n", "w", bytes(16), b"l" * 16)


@st.composite
def cut_up(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """Draw a number of leaves, and spans that cover them in any order."""
    leaves = draw(st.integers(0, 70))
    ends = sorted(draw(st.sets(st.integers(1, 69))) | {leaves} if leaves else [])
    spans = [(first, stop) for first, stop in zip([0, *ends], ends, strict=False) if stop <= leaves]
    return leaves, draw(st.permutations(spans))


@given(cut_up())
def test_the_root_is_that_of_the_definition_for_every_order_and_grouping(
    case: tuple[int, list[tuple[int, int]]],
) -> None:
    count, spans = case
    leaves = [bytes([number]) for number in range(count)]
    tree = MerkleTree()
    for first, stop in spans:
        tree.add(first, leaves[first:stop])
    assert tree.root() == tree.root(count) == root_of(leaves)


@pytest.mark.parametrize("spans", [[(0, 3), (4, 8)], [(1, 8)], [(0, 8), (3, 4)], [(0, 4), (0, 4)], [(0, 8), (0, 8)]])
def test_a_tree_with_a_gap_or_a_leaf_that_came_twice_has_no_root(spans: list[tuple[int, int]]) -> None:
    tree = MerkleTree()
    for first, stop in spans:
        tree.add(first, [b"leaf"] * (stop - first))
    with pytest.raises(LedgerError, match="each once"):
        tree.root()


def test_a_tree_that_is_shorter_than_the_step_has_no_root() -> None:
    tree = InputTree()
    tree.fold(row(0, 4))
    with pytest.raises(LedgerError, match="4 chunks were folded, but they are not the first 5"):
        tree.root(5)


def test_leaves_in_order_leave_only_a_few_hashes_in_memory() -> None:
    tree = MerkleTree()
    most = 0
    for number in range(5000):
        tree.add(number, [b"leaf"])
        most = max(most, sum(map(len, tree._levels)))
    assert most <= 13  # the logarithm of 5000


def test_a_leaf_and_a_pair_of_nodes_are_never_the_same() -> None:
    leaves = MerkleTree()
    leaves.add(0, [b"a", b"b"])
    forged = MerkleTree()
    forged.add(0, [hashed(b"\x00a") + hashed(b"\x00b")])
    assert leaves.root() != forged.root()


@pytest.mark.parametrize(
    ("changes", "in_input"),
    [
        ({"first": 1}, True),
        ({"entries": (0, 1, 3, 3)}, True),
        ({"failed": (0, 1, 0, 0)}, True),
        ({"contents": bytes(64)}, True),
        ({"attempt": 2}, False),
        ({"states": b"s" * 16}, False),
        ({"link": bytes(16)}, False),
        ({"worker_id": "other", "cut_at": (2,) * 4}, None),
    ],
)
def test_a_root_depends_on_what_it_stands_for(changes: dict[str, object], *, in_input: bool | None) -> None:
    changed = with_changes(row(0, 4), **changes)
    differs = []
    for kind in (InputTree, ReceiptTree):
        before, after = kind(), kind()
        before.fold(row(0, 4))
        after.add(0, _leaves(kind, changed))
        differs.append(before.root() != after.root())
    assert differs == [bool(in_input), in_input is not None]


def _leaves(kind: type[MerkleTree], changed: ReceiptRow) -> list[bytes]:
    """Return the data of the leaves of a row."""
    caught: list[bytes] = []

    class Catch(kind):  # type: ignore[misc, valid-type]
        def add(self, first: int, leaves: object) -> None:
            caught.extend(leaves)  # type: ignore[call-overload]

    Catch().fold(changed)
    return caught


def test_how_chunks_were_batched_does_not_show_in_the_root() -> None:
    roots = set()
    for size in (1, 3, 16, 100):
        tree = InputTree()
        for first in reversed(range(0, 100, size)):
            tree.fold(row(first, min(size, 100 - first)))
        roots.add(tree.root())
    assert len(roots) == 1
