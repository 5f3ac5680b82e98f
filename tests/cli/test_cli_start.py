"""The command itself: help, version, imports, and output streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_samples import REPOSITORY, elastic

HEAVY = ("ray", "sqlalchemy", "rich", "numpy", "msgpack", "zstandard", "sqlite3")


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["example", "--help"], ["flow", "run", "--help"]], ids=str
)
def test_help_imports_nothing_that_takes_long(arguments: list[str]) -> None:
    assert imported(HEAVY, arguments) == []


@pytest.mark.parametrize("several", [0, 2])
def test_texts_and_defaults_are_taken_without_what_checks_the_types_of_others(several: int, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.txt") for number in range(several)]
    for path in paths:
        Path(path).write_text("a line")
    count = ["example", "word-count", *paths, "--cluster", "inline", "--errors", "strict"]
    home = {"ELASTIC_HOME": str(tmp_path / "home")}
    assert imported(("pydantic", "ray"), count, **home) == []
    assert imported(("pydantic", "ray"), [*count, "--top", "3"], **home) == ["pydantic"]


def imported(names: tuple[str, ...], arguments: list[str], **environment: str) -> list[str]:
    """Run a command that succeeds, and return which of some modules it imports."""
    code = f"""
import sys
sys.argv = ["elastic", *{arguments!r}]
from elastic.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
print(*sorted(set({names!r}) & set(sys.modules)))
"""
    done = run("-c", code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()[-1].split()


@pytest.mark.parametrize(
    "command", [[], ["example"], ["example", "word-count"], ["flow"], ["flow", "run"], ["runs"], ["runs", "list"],
                ["runs", "show"], ["receipts"]], ids=" ".join
)  # fmt: skip
def test_every_command_has_help(command: list[str]) -> None:
    said = elastic(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: {' '.join(['elastic', *command])}")
    if command in (["example", "word-count"], ["flow", "run"], ["runs", "list"], ["runs", "show"], ["receipts"]):
        assert "or example: " in said.out


def test_the_version_is_that_of_the_package() -> None:
    from elastic.version import __version__

    assert elastic("--version").out == f"elastic {__version__}\n"


@pytest.mark.parametrize("arguments", [["unknown"], ["runs", "unknown"], ["--unknown"]], ids=str)
def test_a_command_that_there_is_not_ends_with_2(arguments: list[str]) -> None:
    said = elastic(*arguments)
    assert (said.code, said.out) == (2, "")
    assert "unknown" in said.err


def test_the_module_is_the_command(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("b a b\n")
    arguments = ("-m", "elastic", "example", "word-count", str(path), "--cluster", "inline", "-o", "json")
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["top"] == [["b", 2], ["a", 1]]


def test_an_error_is_one_line_on_the_error_output() -> None:
    done = run("-m", "elastic", "example", "word-count", "/nowhere.txt", "--cluster", "inline")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    done = run("-m", "elastic", "example", "word-count", "/nowhere.txt", "--cluster", "inline", "--debug")
    assert done.returncode == 2
    assert b"Traceback (most recent call last)" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_words_that_a_terminal_cannot_show_are_no_error(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\u00e9t\u00e9 \U0001f600\n", encoding="utf-8")
    arguments = ("-m", "elastic", "example", "word-count", str(path), "--cluster", "inline")
    table = run(*arguments, PYTHONIOENCODING=encoding)
    assert (table.returncode, table.stderr) == (0, b"")
    document = run(*arguments, "-o", "json", PYTHONIOENCODING=encoding)
    assert (document.returncode, document.stderr) == (0, b"")
    assert dict(json.loads(document.stdout.decode(encoding))["top"]) == {"\u00e9t\u00e9": 1, "\U0001f600": 1}


def test_an_address_where_nothing_answers_is_named_and_nothing_is_begun(home: Path, tmp_path: Path) -> None:
    # In another process, because one that is connected to Ray refuses any other address.
    path = tmp_path / "text.txt"
    path.write_text("word\n")
    done = run("-m", "elastic", "example", "word-count", str(path), "--cluster", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, b"")
    (sentence,) = done.stderr.decode().splitlines()
    assert sentence.startswith("error: nothing answers at 127.0.0.1:1 (")
    assert list(home.iterdir()) == []
