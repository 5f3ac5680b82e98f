"""Log files: pieces from the end, offsets that continue, and content that is data."""

import os
from pathlib import Path

import pytest

from elastic.web.log_file import LINE_BYTES, PIECE_BYTES, LogFile, LogPiece, MissingLogError, open_log
from tests.web.dag_page_samples import log_text


def piece_of(path: Path) -> LogPiece:
    with open_log(path.parent, path) as log:
        return log.last_piece()


def texts(piece: LogPiece) -> list[str]:
    return [line.text for line in piece.lines]


def test_a_log_is_read_from_its_end_and_continued_backwards_without_gaps(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(30_000)))
    with open_log(tmp_path, path) as log:
        found = log.last_piece()
        assert found.end == found.size == path.stat().st_size
        assert len(found.lines) < 10_000
        assert found.lines[-1].text == "line 29999"
        lines = list(found.lines)
        while lines[0].offset > 0:
            lines[:0] = log.piece_before(lines[0].offset).lines
    assert [line.text for line in lines] == [f"line {number}" for number in range(30_000)]
    assert [line.number for line in lines] == list(range(1, 30_001))


def test_following_a_log_returns_each_line_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    with open_log(tmp_path, path) as log:
        first = log.last_piece()
    assert (texts(first), first.partial and first.partial.text, first.end) == (["one"], "tw", 4)
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    with open_log(tmp_path, path) as log:
        second = log.piece(first.end)
        assert (texts(second), second.partial) == (["two", "three"], None)
        assert log.piece(second.end).lines == ()
        assert log.piece(10**15).lines == ()


@pytest.mark.parametrize("content", [b"", b"\n", b"no end of line", b"\r\n\r\n", b"\0\xff\n"])
def test_small_logs_are_shown_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    found = piece_of(path)
    assert found.size == len(content)
    assert len(found.lines) == content.count(b"\n")
    assert (found.partial is not None) == (not content.endswith(b"\n") and bool(content))


def test_a_line_of_megabytes_is_cut_and_the_next_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + b"x" * 1_000_000 + b"\nlast\n")
    with open_log(tmp_path, path) as log:
        found, end = [], 0
        while end < log.size:
            piece = log.piece(end)
            assert piece.end > end
            assert all(len(line.text) <= LINE_BYTES for line in piece.lines)
            found += piece.lines
            end = piece.end
    assert (found[0].text, found[-1].text) == ("first", "last")
    assert found[1].cut == PIECE_BYTES - len(b"first\n") - LINE_BYTES or found[1].cut > 50_000
    assert sum(line.cut + min(len(line.text), LINE_BYTES) for line in found[1:-1]) == 1_000_000


def test_control_sequences_are_left_out_and_other_control_characters_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://e\x1b\\link\x1b(B\n"
        b"10 %\r50 %\r100 %\r\n"
        b"bell \x07 nul \0 bidi \xe2\x80\xae tab\tstays\n"
        b"broken \xff\xfe utf-8 \xed\xa0\x80\n"
    )
    red, progress, control, broken = texts(piece_of(path))
    assert red == "red link"
    assert progress == "100 %"
    assert control == r"bell \x07 nul \x00 bidi \u202e tab" + "\tstays"
    assert broken.startswith(r"broken \xff\xfe utf-8 ")
    assert broken.isprintable()


def test_lines_have_the_level_of_their_message(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(log_text(2, error=True))
    found = piece_of(path).lines
    assert {line.level for line in found if line.text.startswith("    ")} == {"error"}
    assert [line.level for line in found if " - line " in line.text] == ["info", "info"]
    assert {line.level for line in found if line.text.startswith(("---", "New run"))} == {""}


def test_the_first_error_is_that_of_the_last_try(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(log_text(400, error=True, tries=3))
    with open_log(tmp_path, path) as log:
        offset = log.first_error()
        assert offset is not None
        assert len(log.tries()) == 3
        assert offset > log.tries()[-1]
        around = log.piece_around(offset)
    marked = [line for line in around.lines if line.offset == offset]
    assert [line.level for line in marked] == ["error"]


def test_a_log_without_errors_has_no_first_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(log_text())
    with open_log(tmp_path, path) as log:
        assert log.first_error() is None


@pytest.mark.parametrize("count", [1, 60_000])
@pytest.mark.parametrize("prefix", ["", "x" * 100, "[2026-03-03 02:00:00,001] "])
def test_only_the_head_of_a_line_makes_it_an_error(tmp_path: Path, prefix: str, count: int) -> None:
    path, noise = tmp_path / "log", f"{prefix} ERROR - x starting @ Traceback (most recent\n" * count
    path.write_text(noise)
    with open_log(tmp_path, path) as log:
        assert log.first_error() is None
    error = "[2026-03-03 02:00:00,001] {execute.py:91} CRITICAL - failed\n"
    path.write_text(f"{error}New run starting @2026\n{noise}{error}")
    with open_log(tmp_path, path) as log:
        assert log.first_error() == log.size - len(error)


def test_the_end_of_a_gigabyte_is_read_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.seek(2**30)
        file.write(b"\nthe last line\n")
    with open_log(tmp_path, path) as log:
        found = log.last_piece()
        assert texts(found)[-1] == "the last line"
        assert found.lines[-1].number == 0
        assert log.tries() == []


def test_the_blocks_of_a_log_are_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(os.urandom(200_000))
    with open_log(tmp_path, path) as log:
        assert b"".join(log.blocks()) == path.read_bytes()


def test_a_missing_log_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(MissingLogError, match=r"the log file .*/etl/load/x is missing\.$"),
        open_log(tmp_path, tmp_path / "etl" / "load" / "x"),
    ):
        pass


@pytest.mark.parametrize("part", ["folder", "file"])
def test_symbolic_links_below_the_folder_of_logs_are_not_followed(tmp_path: Path, part: str) -> None:
    root, secret = tmp_path / "logs", tmp_path / "secret"
    (secret / "load").mkdir(parents=True)
    (secret / "load" / "x").write_text("secret")
    root.mkdir()
    if part == "folder":
        (root / "etl").symlink_to(secret)
    else:
        (root / "etl" / "load").mkdir(parents=True)
        (root / "etl" / "load" / "x").symlink_to(secret / "load" / "x")
    with pytest.raises(MissingLogError), open_log(root, root / "etl" / "load" / "x"):
        pass


@pytest.mark.parametrize("name", ["../secret", "etl/../../secret", "/etc/passwd", "", "a\0b"])
def test_a_path_outside_the_folder_of_logs_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "logs"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(MissingLogError), open_log(root, root / name):
        pass


def test_a_fifo_and_a_folder_are_no_logs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(MissingLogError), open_log(tmp_path, tmp_path / name):
            pass


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("x\n")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("log", "none", "../x"):
        try:
            with open_log(tmp_path, tmp_path / name) as log:
                assert isinstance(log, LogFile)
        except MissingLogError:
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
