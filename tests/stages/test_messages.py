"""Encoding of messages, and one sentence for damaged bytes."""

import random
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from stage_samples import SEAL, by_value, call_of, worker

from elastic.core.errors import EncodingError
from elastic.core.model.chunk import Chunk
from elastic.core.model.failure import Failure
from elastic.stages.messages import COLLECT, Call, Reply, decode_call, decode_reply, encode_call, encode_reply
from elastic.stages.transport.receiver import NodeReceiver
from elastic.stages.transport.sender import NodeSender

FAILURE = Failure(3, 1, "entry 4", "map(f)", "ValueError", "bad \ud800 text", "Traceback ...", "node", "node/0")


def whole_reply() -> Reply:
    subject = worker()
    subject.work(NodeReceiver(SEAL, "node").receive(call_of(by_value(0, [1]), by_value(1, [2]))))
    return NodeSender(SEAL, "node", None).send([subject.collect()])


@pytest.mark.parametrize(
    "call",
    [
        call_of(by_value(0, [1, "a", None])),
        call_of(by_value(7, []), by_value(8, [b"x"]), batch_id=3, attempt=2, collect=True),
        call_of(Chunk(0, (), 1, ("/data/a\udcff.txt", 0, 1 << 40, None, -1))),
        call_of(Chunk(0, (), 1, (2**70, -(2**90), 2**63, -(2**63) - 1))),
        call_of(Chunk(2**40, (), 2**60, ())),
    ],
    ids=["by value", "two chunks", "a file name that is no UTF-8", "integers beyond 64 bits", "an empty reference"],
)
def test_a_call_comes_out_as_it_went_in(call: Call) -> None:
    again = decode_call(encode_call(call))
    assert again == call
    assert all(type(reference) is tuple for reference in again.references)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(node_id="node", worker_id="node/0", batch_id=COLLECT),
        Reply(node_id="node", worker_id="", batch_id=4, seconds=0.25, dead_workers=(("node/1", "its process died"),)),
        Reply(node_id="node", worker_id="node/0", batch_id=4, failure=FAILURE, source_unreadable=True),
        Reply(node_id="node", worker_id="node/0", batch_id=4, failure=FAILURE, spill_failed=True),
        whole_reply(),
    ],
    ids=["nothing", "loss", "unread", "unkept", "partial"],
)
def test_a_reply_comes_out_as_it_went_in(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


@pytest.mark.parametrize("decode", [decode_call, decode_reply])
@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"no message", *map(msgpack.packb, [None, 1, "text", [], [1, 2], {}, [None] * 11, [[]] * 8])],
    ids=repr,
)
def test_a_value_that_is_no_message_is_refused(decode: Any, data: bytes) -> None:
    with pytest.raises(EncodingError, match="a message is"):
        decode(data)


@pytest.mark.parametrize(
    ("data", "decode"),
    [
        (encode_call(call_of(by_value(0, [1]))), decode_call),
        (encode_reply(whole_reply()), decode_reply),
    ],
    ids=["call", "reply"],
)
def test_a_message_that_is_cut_short_or_goes_on_is_refused(data: bytes, decode: Any) -> None:
    for end in range(len(data)):
        with pytest.raises(EncodingError):
            decode(data[:end])
    with pytest.raises(EncodingError):
        decode(data + b"\0")


def test_a_damaged_reply_is_a_reply_or_refused_and_never_breaks_its_reader() -> None:
    data, rng = encode_reply(whole_reply()), random.Random(1)
    for _ in range(2000):
        at = rng.randrange(len(data))
        damaged = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        try:
            assert isinstance(decode_reply(damaged), Reply)
        except EncodingError as error:
            assert str(error).startswith("a message is")


def test_a_reference_that_is_not_of_scalars_is_refused_by_name() -> None:
    call = replace(call_of(by_value(0, [1])), references=((object(),),))
    with pytest.raises(EncodingError, match=r"object object .* cannot be part of a message"):
        encode_call(call)
