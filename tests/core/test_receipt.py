"""Receipts and their tokens."""

from dataclasses import replace

import pytest

from elastic.core.contracts.store import ReceiptRow
from elastic.core.errors import ReceiptError
from elastic.core.model.chunk import UNCOUNTED
from elastic.core.receipts.receipt import (
    NO_LINK,
    NO_STATE,
    Receipt,
    ReceiptSigner,
    decode_token,
    digest_input,
    run_tag,
    token_run_tag,
)
from elastic.core.receipts.receipt_chain import Passage, chain, journeys, receipts_of
from elastic.core.receipts.stage import Stage

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
def test_a_token_with_one_letter_changed_is_refused(position: int) -> None:
    token = receipt().token
    other = "a" if token[position] != "a" else "b"
    with pytest.raises(ReceiptError):
        decode_token(token[:position] + other + token[position + 1 :], key=KEY, run_id="run-1")


@pytest.mark.parametrize("text", ["", "x", "not a receipt!", "é" * 45, "a" * 8, "a" * 10_000])
def test_what_is_no_token_is_refused_with_a_sentence(text: str) -> None:
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
    columns = (4, 1, (10, 11), (5, 6), b"c" * 32)
    others = [
        (3, 1, (10, 11), (5, 6), b"c" * 32),
        (4, 2, (10, 11), (5, 6), b"c" * 32),
        (4, 1, (11, 10), (5, 6), b"c" * 32),
        (4, 1, (10, 11), (6, 5), b"c" * 32),
        (4, 1, (10, 11), (5, 6), b"c" * 31 + b"d"),
        (4, 1, (10,), (11,), b"c" * 32),
    ]
    stamp, one = SEAL.stamp(Stage.SENT, "node-a"), b"1" * 16
    links = [stamp.link(digest_input(*batch), NO_STATE, NO_LINK) for batch in (columns, *others)]  # type: ignore[arg-type]
    links += [stamp.link(digest_input(*columns), one, NO_LINK), stamp.link(digest_input(*columns), NO_STATE, one)]
    links += [SEAL.stamp(Stage.SENT, "node-b").link(digest_input(*columns), NO_STATE, NO_LINK)]
    links += [SEAL.stamp(Stage.RECEIVED, "node-a").link(digest_input(*columns), NO_STATE, NO_LINK)]
    assert len(set(links)) == len(links) == 11


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_numbers_that_no_receipt_can_hold_are_refused(number: int) -> None:
    with pytest.raises(ReceiptError, match="chunks from 4 on"):
        digest_input(4, 1, (number,), (5,), bytes(16))


def batch(*, counted: bool) -> Passage:
    contents = bytes([4]) * 16 + bytes([5]) * 16
    return Passage(4, 1, (14, 15), (5, 6), contents, b"s" * 16, "node", "node/0", counted)


def row_of(passage: Passage, link: bytes) -> ReceiptRow:
    return ReceiptRow(
        4, 2, 1, "node", "node/0", passage.conceived_at, passage.entries, passage.contents, passage.state, link
    )


@pytest.mark.parametrize("counted", [True, False])
def test_journeys_are_computed_again_from_what_is_kept(*, counted: bool) -> None:
    passage = batch(counted=counted)
    links = chain(SEAL, "master", passage)
    made = list(receipts_of(SEAL, links, passage))
    assert list(journeys(SEAL, "master", row_of(passage, links[-1].digest))) == made
    assert [receipts[0].chunk_id for receipts in made] == [4, 5]
    assert [receipt.stage for receipt in made[0]] == list(Stage)
    assert [receipt.entries for receipt in made[1]] == [6 if counted else UNCOUNTED] * 3 + [6] * 3
    assert len({receipt.digest for receipts in made for receipt in receipts}) == 12


def test_a_kept_row_that_was_changed_is_refused_by_name() -> None:
    passage = batch(counted=True)
    link = chain(SEAL, "master", passage)[-1].digest
    with pytest.raises(ReceiptError, match="chunks 4 to 5"):
        list(journeys(SEAL, "master", replace(row_of(passage, link), entries=(5, 5))))
