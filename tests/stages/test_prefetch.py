"""Prefetching: the same chunks, entries and errors, with the next call read during the present one."""

import threading
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow
import pytest
from polars.testing import assert_frame_equal
from pyarrow import parquet

import elastic
from elastic.aggregators import FrameCount
from elastic.core.contracts.source import Reader
from elastic.core.errors import SourceError, StepFailedError, UsageError
from elastic.core.model.chunk import Reference
from elastic.core.transform import Filter, FrameWords, Map, MapFrames, MapTables, Transform
from elastic.stages.messages import Call
from elastic.stages.sources import FileSource, TextLines
from elastic.stages.sources.tables.parquet import ParquetSource
from elastic.stages.worker.frames import FramedBlock, FramedTable, as_frame
from elastic.stages.worker.pipeline import apply
from elastic.stages.worker.prefetch import Prefetcher, can_prefetch
from elastic.stages.worker.words import word_frame
from tests.stages.stage_samples import by_value, call_of, program


class Noted(Reader):
    """Reads a number as that many entries, and records the thread; a negative one cannot be read, 13 not parsed."""

    def __init__(self) -> None:
        self.read: list[tuple[int, bool]] = []

    def read_block(self, reference: Reference) -> bytes:
        self.read.append((reference[0], threading.current_thread() is threading.main_thread()))
        if reference[0] < 0:
            raise SourceError(f"{reference[0]} is gone")
        return bytes(reference[0])

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        if reference[0] == 13:
            raise ValueError("13 is no number")
        return list(block)


def referring(*numbers: int, payload: bytes | None = None) -> Call:
    """Return a call of chunks by reference, or with payloads."""
    references = tuple((number,) for number in numbers)
    return replace(call_of(by_value(0, [])), references=references, payloads=(payload,) * len(numbers))


@pytest.fixture
def noted() -> Noted:
    return Noted()


def test_a_foreseen_chunk_is_read_once_and_by_the_thread(noted: Noted) -> None:
    ahead = Prefetcher(program(Map(str), reader=noted))
    ahead.prefetch([referring(1, 2), referring(3)])
    ahead.prefetch([referring(3)])
    block = ahead.read_block((3,))
    assert ahead.parse((3,), block) == [0, 0, 0]
    ahead.close()
    assert sorted(noted.read) == [(1, False), (2, False), (3, False)]


def test_a_chunk_that_was_not_prefetched_is_read(noted: Noted) -> None:
    ahead = Prefetcher(program(Map(str), reader=noted))
    ahead.prefetch([referring(1)])
    ahead.prefetch([referring(2)])
    ahead.close()
    assert ahead.parse((1,), ahead.read_block((1,))) == [0]
    assert noted.read[-1] == (1, True), "what was of no call any more is dropped"


def test_a_chunk_that_carries_its_payload_is_not_read_from_its_file(noted: Noted) -> None:
    ahead = Prefetcher(program(Map(str), reader=noted))
    ahead.prefetch([referring(3, payload=b"payload"), referring(2)])
    assert ahead.parse((3,), b"xy") == list(b"xy")
    assert ahead.read_block((2,)) == bytes(2)
    ahead.close()
    assert noted.read == [(2, False)]


def test_who_parses_again_has_entries_of_his_own(noted: Noted) -> None:
    ahead = Prefetcher(program(Map(str), reader=noted))
    ahead.prefetch([referring(2)])
    block = ahead.read_block((2,))
    first = ahead.parse((2,), block)
    assert ahead.parse((2,), block) == first
    assert ahead.parse((2,), block) is not first
    ahead.close()


def test_errors_are_raised_where_the_chunk_is_asked_for(noted: Noted) -> None:
    ahead = Prefetcher(program(Map(str), reader=noted))
    ahead.prefetch([referring(-1, 13)])
    with pytest.raises(SourceError, match="-1 is gone"):
        ahead.read_block((-1,))
    block = ahead.read_block((13,))
    with pytest.raises(ValueError, match="no number"):
        ahead.parse((13,), block)
    ahead.close()


def test_a_chunk_that_could_not_be_read_is_read_again_when_it_is_sent_again(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Prefetcher(program(Map(str), reader=noted))
    ahead.prefetch([referring(-1), referring(2)])
    with pytest.raises(SourceError):
        ahead.read_block((-1,))
    monkeypatch.setattr(noted, "read_block", lambda reference: b"back")
    ahead.prefetch([referring(2), referring(-1)])
    ahead.prefetch([referring(-1)])
    assert ahead.read_block((-1,)) == b"back"
    ahead.close()


@pytest.mark.parametrize("transform", [FrameWords(word_frame), MapFrames(as_frame), MapTables(as_frame)])
def test_lines_of_text_are_made_a_frame_by_the_thread(tmp_path: Path, transform: Transform) -> None:
    (tmp_path / "text").write_text("one two\nthree\n")
    source = FileSource([tmp_path / "text"], TextLines())
    reader, (piece,) = source.reader().columnar(), source.cut()
    ahead = Prefetcher(program(transform, reader=reader))
    ahead.prefetch([replace(call_of(by_value(0, [])), references=(piece.reference,), payloads=(None,))])
    entries = ahead.parse(piece.reference, ahead.read_block(piece.reference))
    ahead.close()
    assert isinstance(entries, FramedBlock)
    assert (list(entries), len(entries)) == (["one two", "three"], 2)
    plain = reader.parse(piece.reference, reader.read_block(piece.reference))
    assert_outputs_equal(apply(transform, entries), apply(transform, plain))
    # A function that changes its frame changes only its own copy.
    entries.frame.insert_column(0, pl.Series("more", range(entries.frame.height)))
    assert_outputs_equal(apply(transform, entries), apply(transform, plain))


@pytest.mark.parametrize("transform", [MapFrames(as_frame), MapTables(as_frame)])
def test_rows_of_tables_are_made_a_frame_by_the_thread(tmp_path: Path, transform: Transform) -> None:
    table = pyarrow.table({"name": ["one", "two"], "number": [1, None]})
    reader, reference, ahead = prefetching(tmp_path, table, transform)
    entries = ahead.parse(reference, ahead.read_block(reference))
    ahead.close()
    assert isinstance(entries, FramedTable)
    assert (list(entries), len(entries)) == (table.to_pylist(), 2)
    plain = reader.parse(reference, reader.read_block(reference))
    assert_outputs_equal(apply(transform, entries), apply(transform, plain))
    entries.frame.insert_column(0, pl.Series("more", [0, 1]))
    assert_outputs_equal(apply(transform, entries), apply(transform, plain))


def test_the_transform_raises_the_error_of_a_table_that_frames_cannot_hold(tmp_path: Path) -> None:
    table = pyarrow.table({"wide": pyarrow.array([1], pyarrow.decimal256(50, 0))})
    _, reference, ahead = prefetching(tmp_path, table, MapFrames(as_frame))
    entries = ahead.parse(reference, ahead.read_block(reference))
    ahead.close()
    assert len(entries) == 1
    with pytest.raises(UsageError, match="'wide' is decimal256"):
        apply(MapFrames(as_frame), entries)


def prefetching(folder: Path, table: pyarrow.Table, transform: Transform) -> tuple[Reader, Reference, Prefetcher]:
    """Return the reader of a Parquet file, the reference of its chunk, and a prefetcher that reads it."""
    parquet.write_table(table, folder / "table.parquet")
    source = ParquetSource(folder / "table.parquet")
    (piece,) = source.cut()
    reader = source.reader().columnar()
    ahead = Prefetcher(program(transform, reader=reader))
    ahead.prefetch([replace(call_of(by_value(0, [])), references=(piece.reference,), payloads=(None,))])
    return reader, piece.reference, ahead


def assert_outputs_equal(found: Iterable[Any], expected: Iterable[Any]) -> None:
    (one,), (other,) = found, expected
    assert_frame_equal(one, other)


def test_only_frames_of_files_are_read_ahead(tmp_path: Path, noted: Noted) -> None:
    (tmp_path / "text").touch()
    files = FileSource([tmp_path / "text"], TextLines()).reader()
    assert can_prefetch(program(FrameWords(word_frame), reader=files))
    assert can_prefetch(program(MapFrames(as_frame), Filter(bool), reader=files))
    assert not can_prefetch(program(FrameWords(word_frame), reader=noted)), "a user's reader may want the main thread"
    assert not can_prefetch(program(Map(str), reader=files))
    assert not can_prefetch(program(reader=files))


def test_a_run_of_many_chunks_has_the_words_of_a_loop_and_leaves_no_thread(tmp_path: Path) -> None:
    text = "".join([f"{number} {number % 7}\n" for number in range(20_000)])
    (tmp_path / "text").write_text(text)
    words = elastic.read_text(tmp_path / "text", chunk_bytes=1 << 10).words()
    result = words.aggregate(FrameCount()).run(cluster="inline")
    assert result.chunks > 100
    assert result.value["count"].sum() == len(text.split())
    assert dict(result.value.iter_rows())["3"] == text.split().count("3")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading-ahead")]


def test_a_line_that_cannot_be_read_ahead_is_named_as_ever(tmp_path: Path) -> None:
    lines = [b"fine\n"] * 5_000
    lines[4_321] = b"\xff\n"
    (tmp_path / "text").write_bytes(b"".join(lines))
    flow = elastic.read_text(tmp_path / "text", chunk_bytes=1 << 10).map_frames(pl.DataFrame.unique)
    with pytest.raises(StepFailedError, match="byte 21605"):
        flow.aggregate(FrameCount()).run(cluster="inline")
