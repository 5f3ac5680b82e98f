"""Objects of more types are plain data: registered classes, paths and arrays, also as keys, and never by pickle."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import pytest

import elastic
from elastic.aggregators import Count, SumByKey
from elastic.core import type_registry
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError, UsageError
from elastic.core.partitioning import bucket_of
from elastic.core.type_registry import RegisteredTypes, register_type


class Colour(Enum):
    RED = "r"
    CRIMSON = "r"  # noqa: PIE796 - a second name of one member
    BLUE = ("b", 1)


class Size(IntEnum):
    SMALL = 1


class Name(StrEnum):
    FIRST = "first"


class Rights(Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: float
    y: Any = None


@dataclass(frozen=True)
class Sale:
    country: str
    items: tuple[Any, ...] = ()


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(("money", self.cents))

    def __repr__(self) -> str:
        return f"Money({self.cents})"


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = dict(type_registry._by_kind), dict(type_registry._by_name)
    for kind in (Colour, Size, Name, Rights, Point, Sale):
        assert register_type(kind) is kind
    register_type(Money, lambda money: money.cents, Money)
    yield
    for table, content in zip((type_registry._by_kind, type_registry._by_name), before, strict=True):
        table.clear()
        table.update(content)


VALUES: list[Any] = [
    Colour.RED,
    Colour.CRIMSON,
    Colour.BLUE,
    Size.SMALL,
    Name.FIRST,
    Rights.READ,
    Rights.READ | Rights.WRITE,
    Rights(0),
    Point(1.5),
    Point(2, Point(1, [Colour.RED])),
    Sale("DE"),
    Sale("\ud800", (Sale("FR", (Money(5),)), Path("a"))),
    Money(10**30),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_objects_of_registered_classes_come_back_as_they_were(value: Any) -> None:
    for given in (value, [value], {"a": (value,)}):
        back = unpack(pack(given))
        assert back == given
        inner = back if given is value else back[0] if isinstance(given, list) else back["a"][0]
        assert type(inner) is type(value)
    if isinstance(value, Enum):
        assert unpack(pack(value)) is value


KEYS: list[Any] = [
    Colour.RED,
    Size.SMALL,
    Name.FIRST,
    Rights.READ,
    Point(1, 2),
    Sale("DE", (1, "a")),
    Money(5),
    Path("a/b"),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
@pytest.mark.parametrize("shards", [None, 3])
def test_they_are_keys_with_and_without_shards(key: Any, shards: int | None) -> None:
    flow = elastic.from_iterable([key] * 5 + [f"w{n}" for n in range(20)], chunk_size=2).aggregate(Count())
    counts = dict(flow.run(cluster="inline", shards=shards).value.items())
    assert counts[key] == 5
    (found,) = [one for one in counts if type(one) is not str]
    assert type(found) is type(key)
    sums = elastic.from_iterable([(key, 2)] * 5, chunk_size=2).aggregate(SumByKey())
    assert dict(sums.run(cluster="inline", shards=shards).value.items()) == {key: 10}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Size.SMALL, 1.0),
        (Name.FIRST, "first"),
        (Point(1, 2), (1.0, 2)),
        (Sale("a", (1,)), Sale("a", (1.0,))),
        (Path("a"), PurePosixPath("a")),
        (PureWindowsPath("A"), PureWindowsPath("a")),
    ],
)
def test_equal_keys_of_different_types_have_one_bucket(one: Any, other: Any) -> None:
    assert one == other
    assert bucket_of(one) == bucket_of(other)


@pytest.mark.parametrize("path", [Path("/a/\udcff\0"), Path(), PurePosixPath("a"), PureWindowsPath("c:\\a")])
def test_paths_come_back_as_they_were(path: Any) -> None:
    back = unpack(pack({path: [path]}))
    assert back == {path: [path]}
    assert type(back[path][0]) is type(path)


ARRAYS: list[Any] = [
    np.array([1.5, np.nan, -0.0]),
    np.arange(24, dtype=">i2").reshape(2, 3, 4)[:, ::2],
    np.asfortranarray(np.ones((3, 2), dtype=np.complex64)),
    np.array([True, False]),
    np.array(["a", "\u20ac\0b"]),
    np.array([b"a\0b"]),
    np.array(["2026-01-01", "NaT"], dtype="datetime64[ns]"),
    np.array([1, 2], dtype="timedelta64[s]"),
    np.zeros((0, 5)),
    np.float16([1, 2]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.str)
def test_arrays_come_back_as_they_were_and_may_be_changed(array: Any) -> None:
    back = unpack(pack([array]))[0]
    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    back[...] = back
    assert pack([back]) == pack([array])


@pytest.mark.parametrize(
    "array", [np.array([object()]), np.zeros(2, dtype=[("a", "i4")]), np.ma.array([1]), np.array([1.5], np.longdouble)]
)
def test_arrays_of_other_elements_are_refused(array: Any) -> None:
    with pytest.raises(EncodingError, match="is not plain data"):
        pack(array)


def test_damaged_arrays_paths_and_objects_are_not_read() -> None:
    for given, old, new in (
        (np.arange(3), b"<i8", b"|O8"),
        (np.arange(3), b"\x93\xa3<i8\x91\x03", b"\x93\xa3<i8\x91\x04"),
        (Path("a"), b"PosixPath", b"PosixPbth"),
        (Colour.RED, b"RED", b"RUD"),
        (Colour.RED, b"Colour", b"Kolour"),
        (Point(1, 2), b"\x92\x01\x02", b"\x93\x01\x02"),
    ):
        data = pack(given)
        assert data.count(old) == 1, (given, data)
        with pytest.raises(EncodingError):
            unpack(data.replace(old, new))


def test_a_value_that_is_unknown_is_named_with_its_place() -> None:
    class Unknown:
        pass

    with pytest.raises(EncodingError, match=r"Unknown is not plain data .* \(at \[1\]\['a'\]\[2\]\); turn it into"):
        pack([{}, {"b": 1, "a": (1, 2, Unknown())}])
    with pytest.raises(elastic.ElasticError, match=r"\(at \[3\]\['price'\]\)"):
        elastic.from_iterable([{"price": 1}] * 3 + [{"price": Unknown()}]).run(cluster="inline")


def test_a_class_that_is_not_registered_here_is_named_by_its_name() -> None:
    data = pack(Sale("DE"))
    script = "import sys; from elastic.core.encoding import unpack; unpack(bytes.fromhex(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", script, data.hex()], capture_output=True, text=True, check=False)
    assert "a value of the type 'Sale' cannot be read" in done.stderr
    assert "import the module that calls elastic.register_type" in done.stderr


def test_the_types_travel_with_the_program() -> None:
    from ray import cloudpickle

    code = (
        "import sys, elastic\nfrom ray import cloudpickle\ncloudpickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "from elastic.core.encoding import unpack\nprint(unpack(bytes.fromhex(sys.argv[2])))"
    )
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        pickled = cloudpickle.dumps(RegisteredTypes())
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    arguments = [pickled.hex(), pack([Colour.BLUE, Point(1, 2)]).hex()]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert "Point(x=1, y=2)" in done.stdout, done.stderr


class Opaque:
    pass


@dataclass
class Computed:
    a: int
    b: int = field(init=False, default=0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((Opaque,), "pass encode and decode"),
        ((Opaque, str), "takes two functions, encode and decode, or none"),
        ((Opaque, 1, 2), "takes two functions"),
        ((Opaque(),), "takes a class, not"),
        ((Computed,), "the field 'b' is no argument of the class"),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        register_type(*arguments)


def test_a_name_stands_for_one_class_and_a_class_may_be_defined_again() -> None:
    other = type("Sale", (), {"__module__": "elsewhere"})
    with pytest.raises(UsageError, match="Sale is registered as 'Sale' already; pass another name="):
        register_type(other, str, str)
    register_type(other, lambda sale: 1, lambda plain: other(), name="other")
    assert type(unpack(pack(other()))) is other
    again = type("Money", (), {"__module__": Money.__module__})
    register_type(again, lambda money: 7, lambda plain: again())
    assert type(unpack(pack(again()))) is again
    with pytest.raises(EncodingError, match="is not plain data"):
        pack(Money(1))


def test_functions_that_fail_are_named() -> None:
    register_type(Money, lambda money: 1 / 0, Money)
    with pytest.raises(EncodingError, match=r"encode function of the registered type .* failed \(ZeroDivisionError"):
        pack(Money(1))
    register_type(Money, lambda money: object(), Money)
    with pytest.raises(EncodingError, match="object is not plain data"):
        pack(Money(1))


@pytest.mark.cluster
def test_they_travel_to_workers_and_back(embedded_ray: None) -> None:
    flow = elastic.from_iterable([Sale("DE", (Colour.RED,)), Point(1, 2)] * 50, chunk_size=5)
    result = (
        flow.map(lambda value: (value, type(value).__name__, np.ones(2).sum())).aggregate(Count()).run(cluster="local")
    )
    assert result.value == Counter({(Sale("DE", (Colour.RED,)), "Sale", 2.0): 50, (Point(1, 2), "Point", 2.0): 50})
