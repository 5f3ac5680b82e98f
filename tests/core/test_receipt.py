"""Receipts and their tokens."""

import pytest

from elastic.core.chunk import UNCOUNTED, UNREAD
from elastic.core.errors import ReceiptError
from elastic.core.journey import Passage, journey, journeys
from elastic.core.receipt import NO_RECEIPT, Receipt, Seal, decode_token, run_tag, token_run_tag
from elastic.core.stage import Stage
from elastic.core.store import ReceiptRow

KEY = bytes(range(32))
SEAL = Seal(key=KEY, run_id="run-1", step=3)
FIELDS = (70_000, 2, 1_790_000_000_123_456, 5_000)


def receipt(stage: Stage = Stage.AGGREGATED, fields: tuple[int, int, int, int] = FIELDS) -> Receipt:
    return SEAL.receipt(stage, "node-a", fields, bytes(16), NO_RECEIPT)


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
        return Seal(key=KEY, run_id=run, step=step).receipt(stage, node, fields, content, previous).digest  # type: ignore[arg-type]

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


@pytest.mark.parametrize("counted", [True, False])
def test_journeys_are_computed_again_from_what_is_kept(*, counted: bool) -> None:
    made = [
        journey(SEAL, "master", Passage(n, 1, 10 + n, 5, bytes([n]) * 16, b"s" * 16, "node", "node/0", counted))
        for n in (4, 5)
    ]
    row = ReceiptRow(
        4, 2, 1, "node", "node/0", (14, 15), (5, 5), bytes([4]) * 16 + bytes([5]) * 16, b"s" * 16,
        b"".join(receipts[-1].digest for receipts in made),
    )  # fmt: skip
    assert list(journeys(SEAL, "master", row)) == made
    assert [receipt.stage for receipt in made[0]] == list(Stage)
    assert [receipt.entries for receipt in made[0]] == [5 if counted else UNCOUNTED] * 3 + [5] * 3


def test_a_kept_row_that_was_changed_is_refused_by_name() -> None:
    made = journey(SEAL, "master", Passage(4, 1, 10, 5, UNREAD, UNREAD, "node", "node/0", counted=True))
    row = ReceiptRow(4, 1, 1, "node", "node/0", (10,), (6,), UNREAD, UNREAD, made[-1].digest)
    with pytest.raises(ReceiptError, match="chunk 4"):
        list(journeys(SEAL, "master", row))
