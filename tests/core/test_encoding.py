"""How values become bytes and back."""

import contextlib
import datetime as dt
import math
import random
import uuid
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from elastic.core.encoding import compress, decompress, framer, pack, unpack
from elastic.core.errors import EncodingError

PLAIN: list[Any] = [
    None, True, False, 0, -1, 2**63, 2**64, -(2**63) - 1, 10**100, -(10**100), 0.0, -0.0, 1e308, math.inf,
    "", "text", "\ud800", b"", b"\x00\xff", [], [1, [2]], {}, {"a": 1}, {1: "x", (1, 2): "y", None: 0},
    (), (1, (2, 3)), set(), {1, (2, 3)}, frozenset({(1, 2)}), Counter("hello"), 1 + 2j, Decimal("1.50"), Fraction(1, 3),
    uuid.UUID(int=7), dt.date(2026, 11, 20), dt.time(1, 2, 3, 4), dt.timedelta(days=-1, microseconds=5),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 10, 25, 2, fold=1),  # noqa: DTZ001 - naive on purpose
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    back = unpack(pack(value))
    assert back == value
    assert type(back) is type(value)
    assert getattr(back, "fold", 0) == getattr(value, "fold", 0)


def test_a_fraction_of_thousands_of_digits_comes_back() -> None:
    wide = Fraction(-(10**5000), 3)
    assert unpack(pack(wide)) == wide


def test_tuples_in_lists_and_dicts_stay_tuples() -> None:
    value = [("a", 1), {"k": (1, [2, (3,)])}, {(1, 2): ()}]
    assert repr(unpack(pack(value))) == repr(value)


def test_not_a_number_comes_back() -> None:
    assert math.isnan(unpack(pack(math.nan)))


def test_equal_sets_give_equal_bytes() -> None:
    # 0 and 8 collide, so the one that came first is met first.
    one, other = set([0, 8]), set([8, 0])  # noqa: C405 - a literal would be built in another order
    assert list(one) != list(other)
    assert pack(one) == pack(other)


def test_subclasses_become_their_plain_base() -> None:
    point, wide = namedtuple("point", "x y"), type("wide", (int,), {})
    for value, plain in [(point(1, 2), (1, 2)), (wide(5), 5), (wide(10**30), 10**30), (OrderedDict(a=1), {"a": 1})]:
        back = unpack(pack([value]))[0]
        assert back == plain
        assert type(back) is type(plain)


@pytest.mark.parametrize("value", [object(), print, {"a": [object()]}, {1: print}, ValueError("x")])
def test_what_is_not_plain_is_refused_by_the_name_of_its_type(value: Any) -> None:
    with pytest.raises(EncodingError, match="is not plain data"):
        pack(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(EncodingError):
        pack(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_either_data_or_an_encoding_error(data: bytes) -> None:
    with contextlib.suppress(EncodingError):
        unpack(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_either_a_frame_or_an_encoding_error(data: bytes) -> None:
    with pytest.raises(EncodingError):
        decompress(data)


@pytest.mark.parametrize("size", [0, 1, 1000, 3 << 20])
def test_a_frame_opens_to_what_it_was_made_of(size: int) -> None:
    assert decompress(compress(b"x" * size)) == b"x" * size


def test_large_data_opens_to_what_it_was_made_of_and_damage_is_noticed() -> None:
    plain = random.Random(1).randbytes(1 << 20) * 9
    frame = compress(plain)
    assert frame == compress(plain)
    assert decompress(frame) == plain
    with pytest.raises(EncodingError):
        decompress(frame[: len(frame) // 2] + b"x" + frame[len(frame) // 2 + 1 :])


def test_every_flipped_byte_of_a_frame_is_noticed() -> None:
    plain = bytes(range(256)) * 3
    frame = compress(plain)
    for at in range(len(frame)):
        damaged = bytearray(frame)
        damaged[at] ^= 1
        try:
            assert decompress(bytes(damaged)) == plain, "a bit that means nothing may be flipped, but no other"
        except EncodingError:
            continue


def test_a_frame_that_is_cut_short_or_followed_by_something_is_refused() -> None:
    frame = compress(b"hello" * 100)
    for bad in [frame[:-1], frame + b"x", frame + frame, b""]:
        with pytest.raises(EncodingError):
            decompress(bad)


def test_a_frame_without_its_size_or_above_the_limit_is_refused_unopened() -> None:
    nameless = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100)
    with pytest.raises(EncodingError):
        decompress(nameless)
    with pytest.raises(EncodingError, match="refused"):
        decompress(compress(b"x" * 100), limit=99)


@pytest.mark.parametrize("plain", [b"", b"x", b"\0" * 100_000, bytes(range(256)), b"ELPF" * 9, b"(\xb5/\xfd"])
def test_a_frame_that_is_not_compressed_opens_to_what_it_holds(plain: bytes) -> None:
    frame = framer(compressed=False)(plain)
    assert plain in frame
    assert decompress(frame) == decompress(memoryview(frame)) == plain


@pytest.mark.parametrize(
    "harm",
    [
        lambda frame: frame[:-1],
        lambda frame: frame[:10],
        lambda frame: frame + b"x",
        lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]),
        lambda frame: frame[:4] + b"\xff" * 8 + frame[12:],
        lambda frame: frame[:15] + bytes([frame[15] ^ 1]) + frame[16:],
        lambda frame: b"ELPG" + frame[4:],
    ],
)
def test_a_damaged_frame_that_is_not_compressed_is_refused(harm: Callable[[bytes], bytes]) -> None:
    with pytest.raises(EncodingError, match="a frame"):
        decompress(harm(framer(compressed=False)(b"what it holds")))


def test_a_frame_that_is_not_compressed_and_too_large_is_refused() -> None:
    with pytest.raises(EncodingError, match="is refused"):
        decompress(framer(compressed=False)(b"12345"), limit=4)
