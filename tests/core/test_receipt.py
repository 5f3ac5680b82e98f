"""Receipts and their tokens."""

import pytest

from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import UNCOUNTED
from elastic.core.model.chunk_columns import ChunkColumns
from elastic.core.model.receipt_row import ReceiptRow
from elastic.core.receipts.receipt import (
    NO_LINK,
    NO_STATE,
    Receipt,
    ReceiptSigner,
    decode_token,
    run_tag,
    token_run_tag,
)
from elastic.core.receipts.receipt_chain import chain, links_of_row, receipts_of
from elastic.core.receipts.stage import Stage
from tests.core.column_samples import with_changes

KEY = bytes(range(32))
SEAL = ReceiptSigner(key=KEY, run_id="run-1", step=3)
FIELDS = (70_000, 2, 1_790_000_000_123_456, 5_000)


def receipt(stage: Stage = Stage.AGGREGATED, fields: tuple[int, int, int, int] = FIELDS) -> Receipt:
    return SEAL.receipt(stage, "node-a", fields, bytes(16), NO_LINK)


def test_a_token_decodes_to_time_stage_and_entries() -> None:
    made = receipt()
    fields = decode_token(str(made), key=KEY, run_id="run-1")
    assert (fields.time, fields.stage, fields.entries) == (made.time, Stage.AGGREGATED, 5_000)
    assert (fields.step, fields.chunk_id, fields.attempt) == (3, 70_000, 2)


def test_a_token_of_a_stage_that_has_not_counted_says_so() -> None:
    made = receipt(Stage.SENT, (0, 1, 1, UNCOUNTED))
    assert decode_token(made.token, key=KEY, run_id="run-1").entries is None


@pytest.mark.parametrize("position", range(len(receipt().token)))
def test_a_token_with_one_changed_character_is_refused(position: int) -> None:
    token = receipt().token
    other = "a" if token[position] != "a" else "b"
    with pytest.raises(ReceiptError):
        decode_token(token[:position] + other + token[position + 1 :], key=KEY, run_id="run-1")


@pytest.mark.parametrize("text", ["", "x", "not a receipt!", "é" * 45, "a" * 8, "a" * 10_000])
def test_a_value_that_is_no_token_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ReceiptError, match="receipt"):
        decode_token(text, key=KEY, run_id="run-1")


def test_a_token_of_another_run_or_key_is_refused() -> None:
    token = receipt().token
    for key, run_id in [(KEY, "run-2"), (bytes(32), "run-1")]:
        with pytest.raises(ReceiptError):
            decode_token(token, key=key, run_id=run_id)


def test_a_token_leads_to_its_run() -> None:
    assert token_run_tag(receipt().token) == run_tag("run-1") != run_tag("run-2")


def test_receipts_of_equal_chunks_in_the_same_microsecond_differ() -> None:
    one, other = receipt(fields=(1, 1, 1, 9)), receipt(fields=(2, 1, 1, 9))
    assert one.digest != other.digest
    assert one.token != other.token


def test_a_digest_depends_on_every_part_of_the_receipt() -> None:
    def digest(run: str = "r", step: int = 1, node: str = "n", stage: Stage = Stage.SENT, *rest: object) -> bytes:
        fields, content, previous = rest or ((1, 1, 1, 1), bytes(16), bytes(16))
        return ReceiptSigner(key=KEY, run_id=run, step=step).receipt(stage, node, fields, content, previous).digest  # type: ignore[arg-type]

    base = ("r", 1, "n", Stage.SENT)
    one = b"1" * 16
    digests = [
        digest(),
        digest(run="s"),
        digest(step=2),
        digest(node="m"),
        digest(stage=Stage.RECEIVED),
        digest(*base, (2, 1, 1, 1), bytes(16), bytes(16)),
        digest(*base, (1, 2, 1, 1), bytes(16), bytes(16)),
        digest(*base, (1, 1, 2, 1), bytes(16), bytes(16)),
        digest(*base, (1, 1, 1, 2), bytes(16), bytes(16)),
        digest(*base, (1, 1, 1, 1), one, bytes(16)),
        digest(*base, (1, 1, 1, 1), bytes(16), one),
    ]
    assert len(set(digests)) == len(digests)


def test_a_link_depends_on_every_part_of_the_batch() -> None:
    columns = ChunkColumns(4, 1, (10, 11), (5, 6), b"c" * 32)
    others = [
        ChunkColumns(3, 1, (10, 11), (5, 6), b"c" * 32),
        ChunkColumns(4, 2, (10, 11), (5, 6), b"c" * 32),
        ChunkColumns(4, 1, (11, 10), (5, 6), b"c" * 32),
        ChunkColumns(4, 1, (10, 11), (6, 5), b"c" * 32),
        ChunkColumns(4, 1, (10, 11), (5, 6), b"c" * 31 + b"d"),
        ChunkColumns(4, 1, (10,), (11,), b"c" * 32),
    ]
    mac, one, signed = SEAL.mac(Stage.SENT, "node-a"), b"1" * 16, columns.digest_input()
    links = [mac.link(batch.digest_input(), NO_STATE, NO_LINK) for batch in (columns, *others)]
    links += [mac.link(signed, one, NO_LINK), mac.link(signed, NO_STATE, one)]
    links += [SEAL.mac(Stage.SENT, "node-b").link(signed, NO_STATE, NO_LINK)]
    links += [SEAL.mac(Stage.RECEIVED, "node-a").link(signed, NO_STATE, NO_LINK)]
    assert len(set(links)) == len(links) == 11


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_numbers_that_no_receipt_can_hold_are_refused(number: int) -> None:
    with pytest.raises(ReceiptError, match="chunk 4 and following"):
        ChunkColumns(4, 1, (number,), (5,), bytes(16)).digest_input()


COLUMNS = ChunkColumns(4, 1, (14, 15), (5, 6), bytes([4]) * 16 + bytes([5]) * 16)


def row_of(link: bytes = NO_LINK) -> ReceiptRow:
    return ReceiptRow(COLUMNS, "node", "node/0", b"s" * 16, link)


@pytest.mark.parametrize("counted", [True, False])
def test_the_receipts_of_a_stored_row_are_computed_again(*, counted: bool) -> None:
    links = chain(SEAL, row_of(), "master", counted=counted)
    made = list(receipts_of(SEAL, links))
    assert list(receipts_of(SEAL, links_of_row(SEAL, ["master"], row_of(links[-1].digest)))) == made
    assert [receipts[0].chunk_id for receipts in made] == [4, 5]
    assert [receipt.stage for receipt in made[0]] == list(Stage)
    assert [receipt.entries for receipt in made[1]] == [6 if counted else UNCOUNTED] * 3 + [6] * 3
    assert len({receipt.digest for receipts in made for receipt in receipts}) == 12


def test_a_stored_row_that_was_changed_is_refused_by_name() -> None:
    link = chain(SEAL, row_of(), "master", counted=True)[-1].digest
    with pytest.raises(ReceiptError, match="chunks 4 to 5"):
        list(receipts_of(SEAL, links_of_row(SEAL, ["master"], with_changes(row_of(link), entries=(5, 5)))))
