"""Aggregators of frames: exact results, the promised order, and one sentence for each unsupported frame."""

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from elastic.aggregators import FrameCount, FrameGroupBy, FrameSum, FrameTopK
from elastic.aggregators.frames.base import FrameAggregator
from elastic.core.contracts.aggregator import AnyAggregator
from elastic.core.encoding import pack
from elastic.core.errors import EncodingError, UsageError
from elastic.core.frames import frame_of, frame_of_entries, pack_frame, unpack_frame

BIG = 2**63 - 1


def result_of(aggregator: AnyAggregator, *frames: Any) -> Any:
    """Return the result of frames, each added on a separate worker and merged in another order."""
    whole = aggregator.create()
    for frame in random.Random(len(frames)).sample(frames, len(frames)):
        state = aggregator.add(aggregator.create(), frame)
        whole = aggregator.merge(whole, aggregator.decode(aggregator.encode(state)))
    return aggregator.finish(whole)


def test_integers_beyond_64_bits_are_added_without_a_wrap() -> None:
    frames = [pl.DataFrame({"k": ["a", "a", "b"], "x": [BIG, BIG, -BIG]})] * 3
    grouped = result_of(FrameGroupBy("k", x=("x", "sum")), *frames)
    assert dict(grouped.iter_rows()) == {"a": 6 * BIG, "b": -3 * BIG}
    assert grouped.schema["x"] == pl.Int128
    assert result_of(FrameSum("x"), *frames) == {"x": 3 * BIG}
    small = result_of(
        FrameGroupBy("k", x=("x", "sum")), pl.DataFrame({"k": [1], "x": [2]}, schema_overrides={"x": pl.UInt8})
    )
    assert (small.schema["x"], small.rows()) == (pl.Int64, [(1, 2)])


@pytest.mark.parametrize("kind", [pl.Int128, pl.UInt128])
def test_integers_of_128_bits_are_added_by_python(kind: Any) -> None:
    frame = pl.DataFrame({"x": pl.Series([2**127 - 1, 2**127 - 1, None], dtype=kind)})
    assert result_of(FrameSum("x"), frame, frame) == {"x": 4 * (2**127 - 1)}


def test_floats_are_added_exactly_and_rounded_once() -> None:
    numbers = [random.Random(1).uniform(-1e300, 1e300) for _ in range(500)] + [0.1] * 500 + [1e16, -1e16]
    expected = float(sum(map(Fraction, numbers)))
    for seed in range(5):
        shuffled = random.Random(seed).sample(numbers, len(numbers))
        frames = pl.DataFrame({"x": shuffled}).iter_slices(1 + 50 * seed)
        assert result_of(FrameSum("x"), *frames) == {"x": expected}


def test_decimals_keep_all_digits() -> None:
    frame = pl.DataFrame({"k": [1, 1], "x": [Decimal("12345678901234567890.01"), Decimal("-0.02")]})
    total = Decimal("12345678901234567889.99")
    assert result_of(FrameSum("x"), frame, frame) == {"x": 2 * total}
    assert result_of(FrameGroupBy("k", x=("x", "sum")), frame, frame).rows() == [(1, 2 * total)]


def test_decimals_that_add_up_to_more_than_38_digits_are_refused_and_not_wrapped() -> None:
    frame = pl.DataFrame({"k": [1], "x": pl.Series([Decimal("9" * 38)], dtype=pl.Decimal(38, 0))})
    with pytest.raises(UsageError, match="'x' add up to more than 38 digits in a group; cast them"):
        result_of(FrameGroupBy("k", x=("x", "sum")), frame, frame)
    assert result_of(FrameSum("x"), frame, frame) == {"x": 2 * int("9" * 38)}


def test_nulls_are_left_out_and_are_a_key() -> None:
    frame = pl.DataFrame({"k": [None, None, "a"], "x": [None, 2, None]})
    grouped = result_of(FrameGroupBy("k", n="count", x=("x", "sum"), low=("x", "min")), frame, frame)
    assert set(grouped.rows()) == {(None, 4, 4, 2), ("a", 2, 0, None)}
    assert result_of(FrameSum("x"), frame, frame) == {"x": 4}


def test_a_column_of_nothing_but_nulls_fits_every_type() -> None:
    frames = [pl.DataFrame({"k": [None], "x": [None]}), pl.DataFrame({"k": ["a"], "x": [1.5]})]
    for given in (frames, frames[::-1]):
        grouped = result_of(FrameGroupBy("k", most=("x", "max")), *given)
        assert set(grouped.rows()) == {(None, None), ("a", 1.5)}


def test_the_greatest_rows_come_in_one_order() -> None:
    rows = [(index % 4, f"{index % 3}", index) for index in range(60)] + [(None, "z", 1), (None, "a", 2)]
    frame = pl.DataFrame(rows, schema=["at", "name", "number"], orient="row")
    expected = sorted((row for row in rows if row[0] == 3), key=lambda row: row[1:])
    for seed in range(4):
        frames = frame.sample(fraction=1, shuffle=True, seed=seed).iter_slices(3 + seed)
        assert result_of(FrameTopK(8, "at"), *frames).rows() == expected[:8]
    everything = result_of(FrameTopK(100, "at"), frame).rows()
    assert (len(everything), everything[-2:]) == (62, [(None, "a", 2), (None, "z", 1)])


def test_numbers_that_are_none_come_last_among_the_greatest() -> None:
    frame = pl.DataFrame({"x": [1.0, float("nan"), None, 3.0, 2.0]})
    assert result_of(FrameTopK(3, "x"), *frame.iter_slices(1)).rows() == [(3.0,), (2.0,), (1.0,)]


def test_there_is_one_zero() -> None:
    frame = pl.DataFrame({"k": [-0.0, 0.0, -0.0, None], "x": [-0.0, -0.0, 0.0, -0.0]})
    for given in (frame, frame.reverse()):
        for kind in (pl.Float64, pl.Float32):
            one = given.cast(kind)
            grouped = result_of(FrameGroupBy("k", n="count", low=("x", "min"), top=("x", "max")), *one.iter_slices(1))
            assert {repr(row) for row in grouped.rows()} == {"(0.0, 3, 0.0, 0.0)", "(None, 1, 0.0, 0.0)"}
            assert grouped.schema["k"] == kind
            assert "-0.0" not in repr(result_of(FrameTopK(3, "x"), *one.iter_slices(2)).rows())
            assert {repr(row) for row in result_of(FrameCount("k"), one).rows()} == {"(0.0, 3)", "(None, 1)"}


def test_categories_of_chunks_are_one_text() -> None:
    frames = [pl.DataFrame({"k": pl.Series(names, dtype=pl.Categorical)}) for names in (["a", "b"], ["b", "c"])]
    assert dict(result_of(FrameCount("k"), *frames).iter_rows()) == {"a": 1, "b": 2, "c": 1}


def test_tables_lazy_frames_and_series_are_frames() -> None:
    table = pa.table({"word": ["a", "b", "a"]})
    for given in (
        table,
        table.to_batches()[0],
        pl.LazyFrame({"word": ["a", "b", "a"]}),
        pl.Series("word", ["b", "a", "a"]),
    ):
        assert dict(result_of(FrameCount("word"), given).iter_rows()) == {"a": 2, "b": 1}


class Heap(FrameCount):
    """Records the number of rows in each grouping."""

    rows = 0

    def group(self, frame: pl.DataFrame) -> pl.DataFrame:
        Heap.rows += frame.height
        return super().group(frame)


def test_rows_are_grouped_a_few_times_however_many_chunks_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.aggregators.frames.base._MIN_ROWS", 50)
    aggregator, chunks, Heap.rows = Heap("n"), 400, 0
    state = aggregator.create()
    for chunk in range(chunks):
        state = aggregator.add(state, pl.DataFrame({"n": range(10 * chunk, 10 * chunk + 10)}))
    assert aggregator.finish(state).height == 10 * chunks
    assert 10 * chunks <= Heap.rows < 4 * 10 * chunks
    few = aggregator.create()
    for _ in range(chunks):
        few = aggregator.add(few, pl.DataFrame({"n": range(10)}))
        assert few.rows <= 60
    assert aggregator.finish(few).get_column("count").to_list() == [chunks] * 10


FRAME = pl.DataFrame({"k": ["a"], "real": [0.5], "list": [[1]], "count": [1]})
REFUSED: dict[str, AnyAggregator] = {
    "FrameGroupBy(k: sum of real) cannot add floats, whose sum depends on their order; cast 'real' to": (
        FrameGroupBy("k", x=("real", "sum"))
    ),
    "cannot add 'k', which is String; cast it to a number in map_frames": FrameGroupBy("list", x=("k", "sum")),
    "cannot compare the values of 'list', which are List(Int64)": FrameGroupBy("k", x=("list", "max")),
    "needs the column 'no', and the frame has 'k', 'real', 'list', 'count'": FrameGroupBy("no", n="count"),
    "FrameSum(k) cannot add the column 'k' of type String": FrameSum("k"),
    "FrameTopK(2, list) cannot order the column 'list' of type List(Int64)": FrameTopK(2, "list"),
    "FrameCount() got a frame with a column 'count', which the result adds": FrameCount(),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_computed_exactly_is_refused_in_one_sentence(sentence: str) -> None:
    aggregator = REFUSED[sentence]
    with pytest.raises(UsageError) as raised:
        aggregator.add(aggregator.create(), FRAME)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("one", "other", "sentence"),
    [
        ({"k": [1]}, {"k": ["a"]}, r"got 'k' as \w+ in a chunk and as \w+ in another; cast it to one type"),
        ({"k": [1]}, {"k": [1.0]}, r"got 'k' as \w+ in a chunk and as \w+ in another; cast it to one type"),
        ({"k": [1]}, {"j": [1]}, r"got a chunk with the columns .* and another with .*; select the same ones"),
    ],
)
def test_chunks_that_do_not_fit_together_are_refused(one: Any, other: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        result_of(FrameCount(), pl.DataFrame(one), pl.DataFrame(other))


@pytest.mark.parametrize(
    "make",
    [
        lambda: FrameCount("count"),
        lambda: FrameSum(None),
        lambda: FrameSum("a", "a"),
        lambda: FrameTopK(0, "a"),
        lambda: FrameGroupBy([], n="count"),
        lambda: FrameGroupBy("a"),
        lambda: FrameGroupBy("a", a="count"),
        lambda: FrameGroupBy("a", n="mean"),
        lambda: FrameGroupBy("a", n=("b", "mean")),
    ],
)
def test_parameters_that_make_no_sense_are_refused(make: Any) -> None:
    with pytest.raises(UsageError, match=r"got .*; pass"):
        make()


def test_a_value_that_is_no_frame_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expected a frame, got builtins\.str; return a Polars frame"):
        frame_of("text")


@pytest.mark.parametrize("entries", [[1, 2.5], [1, "a"], [{"a": 1}, {"a": "x"}], ["\udcff"], [2**200]])
def test_entries_are_not_changed_to_fit_a_column(entries: list[Any]) -> None:
    with pytest.raises(UsageError, match=r"a chunk's entries cannot become a frame .*; map them to one type first"):
        frame_of_entries(entries)


def test_entries_become_columns() -> None:
    assert frame_of_entries([1, None, 3]).to_dict(as_series=False) == {"entry": [1, None, 3]}
    rows = frame_of_entries([{"a": 1}, {"b": "x", "a": 2}])
    assert rows.to_dict(as_series=False) == {"a": [1, 2], "b": [None, "x"]}


def test_states_of_other_aggregators_are_refused() -> None:
    frame = pl.DataFrame({"word": ["a"], "other": ["b"], "n": [1]})
    aggregators: list[FrameAggregator] = [
        FrameCount("word"),
        FrameCount("other"),
        FrameGroupBy("word", n=("n", "sum")),
        FrameGroupBy("word", m=("n", "sum")),
        FrameTopK(1, "n"),
    ]
    for one in aggregators:
        for other in aggregators:
            data = one.encode(one.add(one.create(), frame))
            if one is other:
                assert other.decode(data).rows == 1
            elif {type(one), type(other)} != {FrameGroupBy, FrameTopK}:
                with pytest.raises(EncodingError, match=r"not a state of Frame\w+\(.*\); was it saved by another"):
                    other.decode(data)


def test_a_changed_byte_of_a_frame_is_seen_before_it_is_read() -> None:
    frame = pl.DataFrame({"a": ["text", None], "b": [1, 2]})
    data = pack_frame(frame)
    assert unpack_frame(data).equals(frame)
    for place in range(len(data)):
        with pytest.raises(EncodingError):
            unpack_frame(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    for other in (b"", pack([1]), data + b"\0"):
        with pytest.raises(EncodingError):
            unpack_frame(other)
