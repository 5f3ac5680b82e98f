"""Iterables: read once, in order, no further than asked for, whatever they are."""

import io
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from source_samples import as_sent, chunks, entries

from elastic.core.clock import SystemClock
from elastic.core.contracts.source import Source
from elastic.core.encoding import decompress, unpack
from elastic.core.errors import SourceError, UsageError
from elastic.core.model.chunk import SourcePiece
from elastic.engine.chunker import Chunker
from elastic.stages.sources import IterableSource, IterablesSource


def letters(text: str = "abcdefg") -> Iterator[str]:
    yield from text


def pair_size(number: int) -> int:
    return 2


def failing(count: int) -> Iterator[int]:
    yield from range(count)
    raise ValueError("no more")


@pytest.mark.parametrize("make", [list, tuple, iter, letters, dict.fromkeys, lambda text: (letter for letter in text)])
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 8])
def test_an_iterable_is_cut_into_chunks_of_the_given_size(make: Callable[[str], Any], chunk_size: int) -> None:
    iterable = make("abcdefg")
    if isinstance(iterable, dict):
        iterable = iterable.keys()
    expected = [list("abcdefg"[start : start + chunk_size]) for start in range(0, 7, chunk_size)]
    assert chunks(IterableSource(iterable, chunk_size=chunk_size)) == expected


def test_an_iterable_without_entries_has_no_chunks() -> None:
    for empty in ([], iter([]), set[int](), range(0)):
        assert chunks(IterableSource(empty)) == []
    assert chunks(IterablesSource([])) == []


def test_an_open_file_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one\ntwo\nthree")
    with (tmp_path / "file").open() as file:
        assert chunks(IterableSource(file, chunk_size=2)) == [["one\n", "two\n"], ["three"]]


def test_an_object_that_only_knows_its_items_is_read() -> None:
    class Squares:
        def __getitem__(self, index: int) -> int:
            if index > 3:
                raise IndexError
            return index * index

    assert entries(IterableSource(Squares(), chunk_size=3)) == [0, 1, 4, 9]  # type: ignore[arg-type]


def test_an_iterable_is_read_no_further_than_the_piece_that_was_asked_for() -> None:
    taken = []

    def watched() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    pieces = IterableSource(watched(), chunk_size=3).cut()
    assert taken == []
    next(pieces)
    assert taken == [0, 1, 2]
    next(pieces)
    assert taken == [0, 1, 2, 3, 4, 5]


def test_a_window_gives_each_chunk_its_size() -> None:
    asked = []

    def growing(chunk: int) -> int:
        asked.append(chunk)
        return chunk + 1

    assert chunks(IterableSource(letters(), window=growing)) == [["a"], ["b", "c"], ["d", "e", "f"], ["g"]]
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [0, -1, None, 2.0, True])
def test_a_window_that_returns_no_size_is_named(size: object) -> None:
    def window(chunk: int) -> Any:
        return size if chunk else 2

    pieces = IterableSource(letters(), window=window).cut()
    assert next(pieces).entries == ["a", "b"]
    with pytest.raises(UsageError, match=rf"window .* must be a positive integer, not {size!r}"):
        next(pieces)


def test_a_window_that_fails_is_named() -> None:
    def window(chunk: int) -> int:
        return 1 // chunk

    with pytest.raises(SourceError, match=r"window .*window.* failed on chunk 0 \(ZeroDivisionError"):
        list(IterableSource(letters(), window=window).cut())


def test_only_sequences_are_replayable() -> None:
    replayable: list[Any] = [[1], (1,), range(3), []]
    once: list[Any] = [letters(), iter([1]), {1}, {1: 2}.items(), io.StringIO("x"), map(str, [1])]
    assert [IterableSource(iterable).replayable for iterable in replayable] == [True] * 4
    assert [IterableSource(iterable).replayable for iterable in once] == [False] * 6
    assert IterablesSource([[1], (2,)]).replayable
    assert not IterablesSource([[1], letters()]).replayable


def test_a_generator_goes_on_only_where_it_stands() -> None:
    source = IterableSource(letters(), chunk_size=3)
    first, second = next(source.cut()), next(source.cut(as_sent((3, 1, None))))
    assert (first.entries, second.entries) == (["a", "b", "c"], ["d", "e", "f"])
    assert (second.position, second.reference) == ((3, 1, None), (3, 3))
    for position in ((0, 0, None), (3, 1, None), (9, 3, None)):
        with pytest.raises(SourceError, match="is at entry 6 and cannot continue at entry"):
            source.cut(position)
    assert [piece.entries for piece in source.cut((6, 2, None))] == [["g"]]


def test_a_generator_that_was_read_cannot_be_read_again() -> None:
    source = IterableSource(letters())
    assert len(entries(source)) == 7
    with pytest.raises(SourceError, match=r"source of type generator is at entry 7 .* pass a new iterable"):
        source.cut()


def test_a_collection_without_order_is_read_again_from_its_start_only() -> None:
    source = IterableSource({1, 2, 3}, chunk_size=2)
    assert entries(source) == entries(source) == [1, 2, 3]


def test_a_list_of_another_length_is_not_gone_on_with() -> None:
    second = list(IterableSource([1, 2, 3], chunk_size=2).cut())[1]
    with pytest.raises(SourceError, match="had 3 entries when the run began and has 4; pass the same entries"):
        IterableSource([1, 2, 3, 4], chunk_size=2).cut(as_sent(second.position))


def test_what_was_read_before_an_iterable_fails_is_not_lost() -> None:
    source = IterableSource(failing(5), chunk_size=3)
    pieces = source.cut()
    assert [next(pieces).entries, next(pieces).entries] == [[0, 1, 2], [3, 4]]
    with pytest.raises(SourceError) as caught:
        next(pieces)
    assert str(caught.value) == (
        "the source of type generator failed after 5 entries (ValueError: no more); "
        "correct the code that yields its entries."
    )
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_iterable_that_fails_on_a_border_of_chunks_or_at_once_is_told() -> None:
    pieces = IterableSource(failing(3), chunk_size=3).cut()
    assert next(pieces).entries == [0, 1, 2]
    with pytest.raises(SourceError, match="after 3 entries"):
        next(pieces)
    with pytest.raises(SourceError, match="after 0 entries"):
        next(IterableSource(failing(0)).cut())


def test_an_iterable_that_does_not_begin_is_named() -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise RuntimeError("closed")

    with pytest.raises(SourceError, match=r"type Broken failed after 0 entries \(RuntimeError: closed\)"):
        IterableSource(Broken()).cut()


@pytest.mark.parametrize(
    ("iterable", "advice"),
    [
        ("words.txt", "'words.txt' is a string; pass a list of entries, or read a file with read_text"),
        ("", "'' is a string"),
        (b"words", "bytes cannot be a source; pass a list"),
        (bytearray(b"words"), "bytearray cannot be a source"),
        ({"a": 1}, r"a mapping cannot be a source; pass its .items\(\), .keys\(\) or .values\(\)"),
        (None, "None cannot be iterated; pass a list, a generator or an open file"),
        (5, "5 cannot be iterated"),
        (letters, "letters.* cannot be iterated"),
    ],
)
def test_what_is_seldom_meant_is_refused_with_what_to_do(iterable: Any, advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        IterableSource(iterable)
    with pytest.raises(UsageError, match=f"iterable 1: .*{advice}"):
        IterablesSource([[1], iterable])


@pytest.mark.parametrize(
    ("package", "make", "rows"),
    [
        ("pandas", lambda pandas: pandas.DataFrame({"a": [1]}), r"use elastic\.from_pandas\(frame\)"),
        ("polars", lambda polars: polars.DataFrame({"a": [1]}), r"use elastic\.from_polars\(frame\)"),
        ("polars", lambda polars: polars.LazyFrame({"a": [1]}), r"use elastic\.from_polars\(frame\)"),
        ("pyarrow", lambda arrow: arrow.table({"a": [1]}), r"use elastic\.from_arrow\(table\)"),
        ("pyarrow", lambda arrow: arrow.record_batch({"a": [1]}), r"use elastic\.from_arrow\(table\)"),
    ],
)
def test_a_table_is_refused_because_iterating_it_yields_columns(package: str, make: Any, rows: str) -> None:
    with pytest.raises(UsageError, match=rf"yields its columns; {rows}"):
        IterableSource(make(pytest.importorskip(package)))


def test_a_class_is_no_iterable() -> None:
    with pytest.raises(UsageError, match="cannot be iterated"):
        IterableSource(list)  # type: ignore[arg-type]


@pytest.mark.parametrize("iterables", ["abc", b"abc", None, 5])
def test_several_iterables_must_be_given_as_a_list(iterables: Any) -> None:
    with pytest.raises(UsageError, match="iterables must be a list of iterables, not"):
        IterablesSource(iterables)


def test_a_window_must_be_a_function() -> None:
    for make in (lambda: IterableSource([], window=3), lambda: IterablesSource([[]], window=3)):  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="window must be a function of a chunk's number, not 3"):
            make()


def test_several_iterables_are_read_in_order_and_no_chunk_spans_two() -> None:
    source = IterablesSource([[1, 2, 3], letters("ab"), [], (4,)], chunk_size=2)
    assert chunks(source) == [[1, 2], [3], ["a", "b"], [4]]


def test_an_iterable_is_not_touched_before_those_in_front_of_it_have_ended() -> None:
    begun = []

    class Watched:
        def __init__(self, name: str) -> None:
            self.name = name

        def __iter__(self) -> Iterator[str]:
            begun.append(self.name)
            return iter([self.name])

    pieces = IterablesSource([Watched("first"), Watched("second")]).cut()
    next(pieces)
    assert begun == ["first"]
    next(pieces)
    assert begun == ["first", "second"]


def test_a_window_begins_anew_with_every_iterable() -> None:
    source = IterablesSource([range(4), range(4)], window=lambda chunk: chunk + 1)
    assert chunks(source) == [[0], [1, 2], [3], [0], [1, 2], [3]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (IterableSource([1] * 7, chunk_size=3), 3),
        (IterableSource([], chunk_size=3), 0),
        (IterableSource({1, 2}, chunk_size=1), 2),
        (IterableSource(letters()), None),
        (IterableSource([1], window=lambda chunk: 1), None),
        (IterablesSource([[1] * 3, [2] * 4], chunk_size=3), 3),
        (IterablesSource([[1], letters()]), None),
    ],
)
def test_the_number_of_chunks_is_known_if_the_length_is(source: Source, expected: int | None) -> None:
    assert source.expected_chunks() == expected


def test_entries_are_located_by_their_number() -> None:
    source = IterableSource(list(range(5)), chunk_size=3)
    assert source.reader().locate(as_sent(list(source.cut())[1].reference), 1) == "entry 4"
    several = IterablesSource([[1], list(range(5))], chunk_size=3)
    last = list(several.cut())[-1]
    assert several.reader().locate(as_sent(last.reference), 1) == "entry 4 of iterable 1"


def test_the_manifest_of_an_iterable_says_what_is_read() -> None:
    assert IterableSource([1, 2], chunk_size=5).describe() == {
        "kind": "iterable",
        "type": "list",
        "entries": 2,
        "chunk_size": 5,
    }
    described = IterablesSource([letters()], window=pair_size).describe()
    assert described["iterables"][0]["entries"] is None
    assert "pair_size" in described["iterables"][0]["chunk_size"]


def drawn(source: Source, count: int, position: Any = None) -> list[SourcePiece]:
    return list(islice(source.cut(position), count))


@pytest.mark.parametrize(("given_back", "kept"), [(0, 0), (1, 1), (1, 2), (1, 3), (0, 3), (3, 3)])
def test_pieces_that_are_given_back_come_first_when_the_same_source_goes_on(given_back: int, kept: int) -> None:
    for source, whole in (
        (IterableSource(letters(), chunk_size=2), ["ab", "cd", "ef", "g"]),
        (IterablesSource([letters("abc"), letters("d"), letters("efg")], chunk_size=2), ["ab", "c", "d", "ef", "g"]),
    ):
        pieces = drawn(source, 3)
        source.take_back(pieces[given_back:])
        # The run may have kept more than it knew.
        after = source.position_after(pieces[2].position, len(pieces[2].entries or ()))
        position = pieces[kept].position if kept < 3 else after
        source.take_back(drawn(source, 2, position))
        found = drawn(source, 9, as_sent(position))
        assert ["".join(piece.entries or ()) for piece in found] == whole[kept:]
        assert [piece.position for piece in found][: 3 - kept] == [piece.position for piece in pieces[kept:]]


def test_a_source_that_was_given_back_pieces_goes_on_nowhere_else() -> None:
    source = IterableSource(letters(), chunk_size=2)
    source.take_back(drawn(source, 3)[1:])
    with pytest.raises(SourceError, match="is at entry 2 and cannot continue at entry 0"):
        source.cut()


def test_entries_that_are_given_back_are_not_projected_twice() -> None:
    def without_last(entries: list[Any]) -> list[Any]:
        return [entry[:-1] for entry in entries]

    source = IterableSource((f"{number}xy" for number in range(6)), chunk_size=2)
    chunker = Chunker(source, SystemClock(), project=without_last)
    chunks, _ = chunker.cut(2)
    chunker.give_back(chunks)
    chunker.close()
    again, _ = Chunker(source, SystemClock(), project=without_last, resume=(0, chunks[0].position)).cut(9)
    assert [unpack(decompress(chunk.payload or b"")) for chunk in again] == [["0x", "1x"], ["2x", "3x"], ["4x", "5x"]]
    assert [chunk.content for chunk in again[:2]] == [chunk.content for chunk in chunks]
