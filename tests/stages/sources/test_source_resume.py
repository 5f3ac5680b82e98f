"""A run that goes on later cuts the same pieces, and notices when the files are others."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from source_samples import TEXTS, as_sent, assert_goes_on_anywhere, chunks

from elastic.core.contracts.source import Source
from elastic.core.errors import SourceChangedError, SourceNotFoundError
from elastic.stages.sources import (
    CsvRecordFormat,
    FileSource,
    IterableSource,
    IterablesSource,
    JsonLinesRecordFormat,
    RangeSource,
    TextLines,
)


def files(folder: Path) -> Path:
    """Make a folder with one file of each text, and return it."""
    for number, data in enumerate(TEXTS.values()):
        (folder / f"{number:02}").write_bytes(data)
    return folder


@pytest.mark.parametrize("ship", ["auto", "reference", "value"])
@pytest.mark.parametrize("chunk_bytes", [1, 3, 10, 1000])
def test_files_can_be_cut_again_at_any_piece(tmp_path: Path, ship: str, chunk_bytes: int) -> None:
    folder = files(tmp_path)
    sources = [FileSource(folder, TextLines(), chunk_bytes=chunk_bytes, ship=ship) for _ in "ab"]
    assert_goes_on_anywhere(*sources)


def test_whole_files_can_be_cut_again_at_any_file(tmp_path: Path) -> None:
    folder = files(tmp_path)
    assert_goes_on_anywhere(*(FileSource(folder, TextLines(), one_file_per_chunk=True) for _ in "ab"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: RangeSource(0, 10, chunk_size=3),
        lambda: RangeSource(10, -11, -4, chunk_size=2),
        lambda: IterableSource(list("abcdefg"), chunk_size=3),
        lambda: IterableSource(tuple(range(30)), window=lambda chunk: chunk + 1),
        lambda: IterablesSource([[1, 2, 3], [], (4,), range(5, 12)], chunk_size=2),
        lambda: IterablesSource([range(9), range(9)], window=lambda chunk: chunk + 1),
    ],
)
def test_replayable_sources_in_memory_can_be_cut_again_at_any_piece(make: Callable[[], Source]) -> None:
    assert make().replayable
    assert_goes_on_anywhere(make(), make())


@pytest.mark.parametrize("chunk_bytes", [1, 4, 1000])
def test_a_block_read_by_the_master_is_the_block_that_a_worker_reads(tmp_path: Path, chunk_bytes: int) -> None:
    folder = files(tmp_path)
    here = FileSource(folder, TextLines(), chunk_bytes=chunk_bytes, ship="value")
    there = FileSource(folder, TextLines(), chunk_bytes=chunk_bytes, ship="reference")
    worker = pickle.loads(pickle.dumps(there.reader()))
    carried, named = list(here.cut()), list(there.cut())
    assert [piece.reference for piece in carried] == [piece.reference for piece in named]
    assert [piece.block for piece in carried] == [worker.read_block(as_sent(piece.reference)) for piece in named]
    assert all(piece.block is None and piece.entries is None for piece in named)


def test_only_auto_lets_the_master_read_for_a_node_that_does_not_see_a_file(tmp_path: Path) -> None:
    path = files(tmp_path) / "03"
    for ship, probe in (("auto", str(path)), ("reference", None), ("value", None)):
        source = FileSource(path, TextLines(), ship=ship)
        piece = next(iter(source.cut()))
        assert source.reader().probes(as_sent(piece.reference)) == probe


def change_size(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


def change_content(path: Path) -> None:
    state = path.stat()
    path.write_bytes(path.read_bytes().replace(b"o", b"0"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def truncate(path: Path) -> None:
    os.truncate(path, 4)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [change_size, change_content, truncate])
def test_a_worker_notices_that_a_file_is_not_the_one_that_was_cut(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = files(tmp_path) / "03"
    source = FileSource(path, TextLines(), chunk_bytes=4)
    reader, pieces = source.reader(), list(source.cut())
    change(path)
    for piece in pieces:
        with pytest.raises(SourceChangedError) as caught:
            reader.read_block(piece.reference)
        assert str(caught.value).startswith(f"{str(path)!r} changed while the run was reading it (")
        assert "start a new run" in str(caught.value)


def test_a_worker_names_a_file_that_is_gone(tmp_path: Path) -> None:
    path = files(tmp_path) / "03"
    source = FileSource(path, TextLines(), chunk_bytes=4)
    reader, pieces = source.reader(), list(source.cut())
    remove(path)
    with pytest.raises(SourceNotFoundError, match="is gone, or the machine that reads it does not see it"):
        reader.read_block(pieces[0].reference)
    assert reader.locate(pieces[1].reference, 2) == f"entry 2 of the chunk from byte 4 of {str(path)!r}"


@pytest.mark.parametrize("change", [change_size, change_content, truncate, remove])
def test_a_run_does_not_go_on_over_other_files(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = files(tmp_path)
    positions = [piece.position for piece in FileSource(folder, TextLines(), chunk_bytes=5).cut()]
    change(folder / "03")
    for position in positions:
        with pytest.raises(SourceChangedError) as caught:
            FileSource(folder, TextLines(), chunk_bytes=5).cut(as_sent(position))
        assert str(folder) in str(caught.value)


def test_a_run_does_not_go_on_when_a_file_has_come_or_was_renamed(tmp_path: Path) -> None:
    folder = files(tmp_path)
    first = next(iter(FileSource(folder, TextLines()).cut()))
    (folder / "03").rename(folder / "new")
    with pytest.raises(SourceChangedError, match="at least one was renamed or rewritten"):
        FileSource(folder, TextLines()).cut(first.position)
    (folder / "03").write_bytes(b"")
    with pytest.raises(SourceChangedError, match=r"there were 16 files of .* bytes and there are 17 of"):
        FileSource(folder, TextLines()).cut(first.position)


def test_readers_hold_no_open_file_and_say_the_same_after_a_journey(tmp_path: Path) -> None:
    folder = files(tmp_path)
    (folder / "table.csv").write_bytes(b"a\n1\n")
    for source in (
        FileSource(folder / "03", TextLines(errors="replace"), chunk_bytes=4),
        FileSource(folder / "00", JsonLinesRecordFormat()),
        FileSource(folder / "table.csv", CsvRecordFormat(delimiter=";")),
        RangeSource(0, 5, chunk_size=2),
        IterableSource([1, 2, 3], chunk_size=2),
        IterablesSource([[1], [2, 3]]),
    ):
        reader, pieces = source.reader(), list(source.cut())
        copy = pickle.loads(pickle.dumps(reader))
        for piece in pieces:
            assert copy.locate(piece.reference, 0) == reader.locate(piece.reference, 0)
            assert copy.probes(piece.reference) == reader.probes(piece.reference)
        assert chunks(source) == chunks(source)
    if Path("/proc/self/fd").exists():
        assert open_files_below(folder) == []


def test_closing_a_cut_closes_the_file_that_it_reads(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n" + b"1\n" * 100_000)
    pieces = FileSource(tmp_path / "a.csv", CsvRecordFormat(newlines_in_values=True), chunk_bytes=10).cut()
    next(pieces)
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list the open files of a process")
    assert open_files_below(tmp_path) == ["a.csv"]
    pieces.close()  # type: ignore[attr-defined]
    assert open_files_below(tmp_path) == []


def open_files_below(folder: Path) -> list[str]:
    names = []
    for link in Path("/proc/self/fd").iterdir():
        # What lists the links is open itself while they are listed, and not afterwards.
        target = link.readlink() if link.is_symlink() else Path()
        if target.is_relative_to(folder):
            names.append(target.name)
    return names
