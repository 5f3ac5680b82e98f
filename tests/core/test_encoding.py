"""Encoding of values as bytes, and decoding."""

import contextlib
import datetime as dt
import math
import random
import subprocess
import sys
import uuid
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH, ZoneInfo

import dateutil.tz
import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from elastic.core.encoding import MAX_DEPTH, compress, decompress, framer, pack, unpack
from elastic.core.errors import EncodingError

PLAIN: list[Any] = [
    None, True, False, 0, -1, 2**63, 2**64, -(2**63) - 1, 10**100, -(10**100), 0.0, -0.0, 1e308, math.inf,
    "", "text", "\ud800", b"", b"\x00\xff", [], [1, [2]], {}, {"a": 1}, {1: "x", (1, 2): "y", None: 0},
    (), (1, (2, 3)), set(), {1, (2, 3)}, frozenset({(1, 2)}), Counter("hello"), 1 + 2j, Decimal("1.50"), Fraction(1, 3),
    uuid.UUID(int=7), dt.date(2026, 11, 20), dt.time(1, 2, 3, 4), dt.timedelta(days=-1, microseconds=5),
    OrderedDict(b=1, a=2), defaultdict(int, a=1), defaultdict(list, a=[1]), defaultdict(None, a=1),
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
    # 0 and 8 collide in a set, so iteration yields them in the order of insertion.
    one, other = set([0, 8]), set([8, 0])  # noqa: C405 - a literal would be built in another order
    assert list(one) != list(other)
    assert pack(one) == pack(other)


Point = namedtuple("Point", "x y")
Colour = Enum("Colour", "RED")
Size = IntEnum("Size", "SMALL")
Name = StrEnum("Name", "FIRST")


@dataclass(frozen=True)
class Row:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (Point(1, 2), "pass a dict by value._asdict(), or tuple(value)"),
        (Colour.RED, "pass its .value"),
        (Size.SMALL, "pass its .value"),
        (Name.FIRST, "pass its .value"),
        (Row(), "dataclasses.asdict(value)"),
        (type("Text", (str,), {})("x"), "pass str(value)"),
        (type("Wide", (int,), {})(10**30), "pass int(value)"),
        (type("Degrees", (float,), {})(1.5), "pass float(value)"),
        (type("Rows", (list,), {})([1]), "pass list(value)"),
        (type("Table", (dict,), {})(a=1), "pass dict(value)"),
        (type("Bag", (Counter,), {})("aa"), "pass dict(value)"),
        (defaultdict(lambda: 1), "default_factory must be None or one of"),
        (np.datetime64("2026-01-01T00:00:00.000000000"), "datetime64 is not plain data"),
        (np.datetime64("NaT", "ns"), "datetime64 is not plain data"),
        (np.longdouble(1.5), "longdouble is not plain data"),
    ],
)
@pytest.mark.parametrize("inside", [lambda one: one, lambda one: [{"a": (one,)}]], ids=["alone", "inside"])
def test_a_value_of_another_class_is_refused_with_advice_and_not_kept_as_its_base(
    value: Any, advice: str, inside: Any
) -> None:
    with pytest.raises(EncodingError) as refused:
        pack(inside(value))
    assert advice in str(refused.value)
    assert type(value).__name__ in str(refused.value)


def test_a_defaultdict_still_makes_what_it_made() -> None:
    back = unpack(pack({"a": defaultdict(list)}))
    back["a"]["new"].append(1)
    assert back == {"a": {"new": [1]}}


def test_numpy_scalars_become_python_values() -> None:
    given = [np.float64(1.5), np.int8(3), np.bool_(True), np.str_("x"), np.bytes_(b"x"), np.complex128(1 + 2j)]
    back = unpack(pack(given))
    assert back == given
    assert set(map(type, back)) == {float, int, bool, str, bytes, complex}


BERLIN = ZoneInfo("Europe/Berlin")
TIMES: list[Any] = [
    dt.datetime(2026, 1, 15, 12, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    dt.datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),  # a time that the clock skipped
    dt.datetime(1880, 1, 1, 5, 6, 7, 8, tzinfo=BERLIN),  # an offset with seconds
    dt.datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo")),
    dt.datetime.max.replace(tzinfo=ZoneInfo("America/Los_Angeles")),
    dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
    dt.time(2, 30, fold=1, tzinfo=BERLIN),
    dt.time(2, 30, tzinfo=ZoneInfo("UTC")),
    *[
        time.replace(tzinfo=zone)
        for time in (dt.datetime(2026, 1, 1), dt.time(1, 2, 3, 4))  # noqa: DTZ001 - it gets its zone here
        for zone in (
            dt.timezone(dt.timedelta(hours=1)),
            dt.timezone(dt.timedelta(hours=1), "CET"),
            dt.timezone(dt.timedelta(0), "Zulu"),
            dt.timezone(dt.timedelta(seconds=-3601, microseconds=5), ""),
        )
    ],
]


@pytest.mark.parametrize("value", TIMES, ids=repr)
def test_a_time_keeps_its_zone_its_hour_and_its_fold(value: Any) -> None:
    back = unpack(pack([{"at": (value,)}]))[0]["at"][0]
    assert repr(back) == repr(value)
    assert (back.utcoffset(), back.tzname()) == (value.utcoffset(), value.tzname())
    assert type(back.tzinfo) is type(value.tzinfo)


def test_a_time_that_has_travelled_still_knows_summer_and_winter() -> None:
    back = unpack(pack(dt.datetime(2026, 1, 15, 12, tzinfo=BERLIN)))
    assert back.utcoffset() == dt.timedelta(hours=1)
    assert (back + dt.timedelta(days=180)).utcoffset() == dt.timedelta(hours=2)


def test_a_fixed_offset_of_another_library_becomes_one_of_python() -> None:
    back = unpack(pack(dt.datetime(2026, 1, 1, tzinfo=dateutil.tz.tzoffset("X", 3600))))
    assert repr(back.tzinfo) == repr(dt.timezone(dt.timedelta(hours=1), "X"))


def berlin_from_a_file(key: str | None) -> ZoneInfo:
    path = next(path for folder in TZPATH if (path := Path(folder, "Europe/Berlin")).exists())
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=key)


class Rules(dt.tzinfo):
    key = "Europe/Berlin"

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta | None:
        return None if when is None else dt.timedelta(hours=1)

    def dst(self, when: dt.datetime | None) -> None:
        return None

    def tzname(self, when: dt.datetime | None) -> str:
        return "mine"


@pytest.mark.parametrize("make", [lambda: berlin_from_a_file(None), lambda: berlin_from_a_file("Europe/Berlin"), Rules])
def test_a_zone_that_cannot_be_found_again_by_its_name_is_refused(make: Any) -> None:
    with pytest.raises(EncodingError, match=r"cannot be found again by its name; use zoneinfo.ZoneInfo\("):
        pack(dt.datetime(2026, 1, 1, tzinfo=make()))


def zoned(*fields: Any) -> bytes:
    return bytes(msgpack.packb(msgpack.ExtType(14, msgpack.packb(fields))))


@pytest.mark.parametrize("key", ["Europe/Atlantis", "Europe", "../../etc/passwd", "/etc/passwd", "", "a\0b", 5, {}])
def test_a_zone_that_this_machine_does_not_have_is_an_encoding_error(key: Any) -> None:
    with pytest.raises(EncodingError):
        unpack(zoned("2026-01-01T00:00:00", 0, key, 0))


def test_a_machine_with_other_rules_for_a_zone_says_so_instead_of_moving_the_time() -> None:
    assert unpack(zoned("2026-07-01T12:00:00", 0, "Europe/Berlin", 7_200_000_000)).hour == 12
    with pytest.raises(EncodingError, match=r"Europe/Berlin was 3600000000 microseconds from UTC .* tzdata"):
        unpack(zoned("2026-07-01T12:00:00", 0, "Europe/Berlin", 3_600_000_000))


@pytest.mark.parametrize("value", [object(), print, {"a": [object()]}, {1: print}, ValueError("x")])
def test_a_value_that_is_not_plain_is_refused_with_the_name_of_its_type(value: Any) -> None:
    with pytest.raises(EncodingError, match="is not plain data"):
        pack(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(EncodingError):
        pack(value)


def nested(make: Any, levels: int) -> Any:
    value = make([])
    for _ in range(levels - 1):
        value = make([value])
    return value


#: Each makes a container of a list of items.
CONTAINERS: list[Any] = [
    tuple, frozenset, lambda items: OrderedDict(enumerate(items)), lambda items: {1: tuple(items)},
    lambda items: defaultdict(list, a=items), lambda items: Counter({(): tuple(items)}),
]  # fmt: skip

#: Stack of a thread (bytes): the smallest default of any build of Python.
SMALL_STACK = """
import threading
from test_encoding import *

def show():
    for make in CONTAINERS:
        try:
            unpack(pack(nested(make, MAX_DEPTH // 2)))
        except RecursionError:
            print("recursion")
        for levels in (MAX_DEPTH * 3, MAX_DEPTH * 50):
            try:
                pack(nested(make, levels))
            except EncodingError as error:
                print("refused", error)
    print(nested(tuple, MAX_DEPTH) == unpack(pack(nested(tuple, MAX_DEPTH))))
    mixed = nested(lambda items: (nested(lambda some: some or items, 400),), 10)
    for bad in (lambda: pack(mixed), lambda: pack(nested(list, 20_000)), lambda: unpack(crafted(20_000))):
        try:
            bad()
        except EncodingError as error:
            print("refused", error)

threading.stack_size(1 << 20)
thread = threading.Thread(target=show)
thread.start()
thread.join()
"""


def crafted(levels: int) -> bytes:
    """Return the bytes of nested tuples that no writer makes."""
    data = b"\x90"
    for _ in range(levels):
        data = b"\x91" + msgpack.packb(msgpack.ExtType(1, data))
    return data


@pytest.mark.parametrize("make", [tuple, frozenset])
def test_containers_nest_as_deep_as_is_said_and_no_deeper(make: Any) -> None:
    whole = nested(make, MAX_DEPTH)
    assert unpack(pack(whole)) == whole
    with pytest.raises(EncodingError, match=f"nests more than {MAX_DEPTH} containers in one another"):
        pack(make([whole]))


def test_lists_and_dicts_alone_nest_deeper() -> None:
    value: Any = nested(list, 500)
    assert pack(unpack(pack(value))) == pack(value)


@pytest.mark.slow
def test_a_small_stack_is_enough_to_write_read_and_refuse_what_nests_deep() -> None:
    command = [sys.executable, "-c", SMALL_STACK]
    told = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert "True" in lines
    assert len(lines) == 2 * len(CONTAINERS) + 1 + 3
    assert all(line.startswith("refused") for line in lines if line != "True")


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
