"""Tables for people."""

import os
import pty
import subprocess
import sys

import pytest

from elastic.cli.printing import listing, output

TABLES = {
    "ordinary": (["name", "número"], [["one", 1234], ["two", None]]),
    "empty": (["name"], []),
    "brackets": (["name", "c"], [["[bold]x", {"a": 1}], ["", [1, 2]]]),
    "wide characters": (["名", "número"], [["宽字", 1], ["e\u0301", 22_000]]),
}
SCRIPT = (
    "from elastic.cli.printing.output import print_table; print_table(['name', 'text'], [['a', 'z' * 90], ['b', 'y']])"
)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_lines_is_that_which_rich_draws(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    columns, rows = TABLES[name]
    output.print_table(columns, rows, numbers=["número"])
    lines = capsys.readouterr().out
    shown = [[output._shown(cell, name == "número") for name, cell in zip(columns, row, strict=True)] for row in rows]
    output._print_folded(columns, shown, {"número"})
    assert lines == capsys.readouterr().out
    assert len(lines.splitlines()) == 2 + len(rows)


def test_only_amounts_have_separators_between_thousands(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["port", "chunk", "entries"], [[5432, 1234, 1234]], numbers=["entries"], ids=["chunk"])
    output.print_facts({"pid": 4242, "counters": {"sent": 1000}}, amounts=["counters"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == [["5432", "1234", "1,234"], ["pid", "4242"], ["counters", "sent=1,000"]]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("one\r\ntwo", "one\\r\\ntwo"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("caf\udce9", "caf\\udce9"),
        ("a\u202eb", "a\\u202eb"),
    ],
)
def test_a_cell_stays_on_its_line_and_commands_no_terminal(
    text: str, cell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_json_streams", [])
    monkeypatch.setattr(listing, "_list_streams", [])
    output.print_table(["name", "text"], [["a", text], [{text: text}, "b"]])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()[2:]] == [
        "a".ljust(2 * len(cell) + 1) + f"   {cell}",
        f"{cell}={cell}   b",
    ]
    output.print_facts({"name": text})
    output.say(text)
    listing.print_list(["text"], [{"text": text}], listing.ListFormat.PLAIN)
    output.print_json([text])
    listing.print_list(["text"], [{"text": text}], listing.ListFormat.JSON)
    listing.print_list(["text"], [{"text": text}], listing.ListFormat.YAML)
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\x9b", "\r", "\u202e", "\udce9"} & set(shown)


@pytest.mark.parametrize(("columns", "lines"), [(120, 4), (60, 5)])
def test_a_line_is_folded_where_the_terminal_is_too_narrow_and_only_there(columns: int, lines: int) -> None:
    told, screen = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=screen, env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    )
    os.close(screen)
    text = b""
    while (piece := _read(told)) != b"":
        text += piece
    os.close(told)
    assert process.wait() == 0
    assert len(text.decode().splitlines()) == lines
    assert text.count(b"z") == 90


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65_536)
    except OSError:
        # Linux reports this error where reading a file would just end.
        return b""
