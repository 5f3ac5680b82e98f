"""Splitting of SQL scripts into statements."""

import re
import sqlite3
from collections.abc import Iterator

#: What may hold a semicolon that ends nothing. What is not closed reaches to the end of the text.
_QUOTED = {
    "standard": r"'(?:[^']|'')*+(?:'|\Z)|--[^\n]*",
    "backslash": r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)|\"(?:[^\"\\]|\\.|\"\")*+(?:\"|\Z)|\#[^\n]*|--(?=\s|\Z)[^\n]*",
    "dollar": r"\b[eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)|'(?:[^']|'')*+(?:'|\Z)|--[^\n]*"
    r"|(?<!\w)\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)",
}
_ALWAYS = r"\"(?:[^\"]|\"\")*+(?:\"|\Z)|`[^`]*+(?:`|\Z)|/\*.*?(?:\*/|\Z)"

_FLAVOURS = {"sqlite": "standard", "postgresql": "dollar", "duckdb": "dollar", "mysql": "backslash"}


def statements(script: str, backend: str) -> list[str]:
    """Cut a script into its statements, without their semicolons; comments and quoted text stay as they are.

    A body that holds semicolons of its own, as that of a MySQL procedure, is not seen as one: give such a statement
    in a list of statements. Triggers of SQLite are understood.
    """
    flavour = _QUOTED[_FLAVOURS.get(backend, "standard")]
    token = re.compile(f"{flavour}|{_ALWAYS}|(?P<end>;)", re.DOTALL)
    pieces = _pieces(script, token)
    if backend == "sqlite":
        pieces = _whole(pieces)
    comment = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
    return [piece.strip() for piece in pieces if comment.sub("", piece).strip()]


def _pieces(script: str, token: re.Pattern[str]) -> Iterator[str]:
    begin = 0
    for match in token.finditer(script):
        if match["end"]:
            yield script[begin : match.start()]
            begin = match.end()
    yield script[begin:]


def _whole(pieces: Iterator[str]) -> Iterator[str]:
    """Join pieces until SQLite calls them complete, because a trigger has semicolons in its body."""
    held = ""
    for piece in pieces:
        held = f"{held};{piece}" if held else piece
        if sqlite3.complete_statement(f"{held};"):
            yield held
            held = ""
    yield held
