"""Real files: events as JSON lines, and tables as CSV with header."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from source_samples import DATA, chunks, entries

from elastic.stages.sources import CsvRecordFormat, FileSource, JsonLinesRecordFormat, TextLines

EVENTS, TABLES = DATA / "events", DATA / "organisations"

pytestmark = pytest.mark.skipif(not EVENTS.is_dir(), reason=f"the sample data is not in {DATA}")


@pytest.mark.parametrize("chunk_bytes", [9_973, 4 << 20])
def test_every_event_is_read_once(chunk_bytes: int) -> None:
    expected: list[object] = []
    for path in sorted(EVENTS.iterdir()):
        expected += [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert len(expected) == 44_130  # thirty of the files do not end with a line end
    source = FileSource(EVENTS, JsonLinesRecordFormat(), chunk_bytes=chunk_bytes)
    assert entries(source) == expected
    assert source.expected_chunks() == len(list(source.cut()))


def test_lines_of_events_are_the_same_compressed_and_plain(tmp_path: Path) -> None:
    paths = sorted(EVENTS.glob("2016-02-2[12]*"))
    for path in paths:
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    plain = entries(FileSource(paths, TextLines(), chunk_bytes=5_000))
    assert entries(FileSource(tmp_path, TextLines(), chunk_bytes=5_000)) == plain
    assert len(plain) > 1000


def test_chunks_of_events_are_as_long_as_asked_for() -> None:
    path = EVENTS / "2016-02-21aa"
    sizes = [
        sum(len(line.encode()) + 1 for line in chunk)
        for chunk in chunks(FileSource(path, TextLines(), chunk_bytes=10_000))
    ]
    assert sum(sizes) == path.stat().st_size
    assert all(9_000 < size < 11_000 for size in sizes[:-1])


@pytest.mark.parametrize("path", sorted(TABLES.glob("*")) if TABLES.is_dir() else [], ids=lambda path: path.name)
def test_a_table_is_read_as_by_the_csv_module(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    assert expected
    for multiline in (False, True):
        source = FileSource(path, CsvRecordFormat(newlines_in_values=multiline), chunk_bytes=101)
        assert entries(source) == expected
        assert Counter(map(len, expected)) == Counter(map(len, entries(source)))
