"""Runs the command line in this process."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elastic.cli import main
from elastic.run_history import RunHistory

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """Output of a command, and its exit code."""

    code: int
    out: str
    err: str


def elastic(*arguments: str) -> Said:
    """Run a command; raise the exceptions that it does not handle."""
    result = CliRunner().invoke(main.app, list(arguments), prog_name="elastic", catch_exceptions=False)
    return Said(result.exit_code, result.stdout, result.stderr)


def said_lines(said: Said) -> list[str]:
    """Return the output lines of a command, with runs of blanks replaced by one."""
    return [" ".join(line.split()) for line in said.out.splitlines()]


def elastic_main(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run a command as the installed script does, which reads `sys.argv`."""
    monkeypatch.setattr(sys, "argv", ["elastic", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    out, err = capfd.readouterr()
    code = ended.value.code
    return Said(code if isinstance(code, int) else 0, out, err)


def refused(said: Said, code: int, text: str) -> None:
    """Check that a command failed with one sentence, and only on the error output."""
    assert said.code == code, said
    assert said.out == ""
    (sentence,) = said.err.splitlines()
    assert sentence.startswith("error: ")
    assert text in sentence
    assert "Traceback" not in said.err


def nothing_begun() -> None:
    """Check that no run was created, not even partly."""
    assert not RunHistory.of_environment().folder.exists() or list(RunHistory.of_environment().folder.iterdir()) == []
