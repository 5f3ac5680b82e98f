"""Source of a DAG file as highlighted lines: pairs of CSS class and text, never markup."""

from difflib import unified_diff

from elastic.core.text import lines as visible

#: Maximum number of characters of a highlighted source.
_MAX_HIGHLIGHTED = 400_000
#: Maximum number of lines on a page.
_MAX_LINES = 20_000
#: Maximum number of compared lines: the time may grow with the square.
MAX_COMPARED = 5_000

#: Part of a line: CSS class, which may be empty, and text.
Piece = tuple[str, str]


def code_lines(source: str) -> list[list[Piece]]:
    """Return the lines of a Python source as highlighted parts."""
    source = visible(source)
    if len(source) > _MAX_HIGHLIGHTED:
        return [[("", line)] for line in source.split("\n")[:_MAX_LINES]]
    # Imported here because only this page needs it.
    from pygments.lexers.python import PythonLexer
    from pygments.token import STANDARD_TYPES

    found: list[list[Piece]] = [[]]
    for kind, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(source):
        while kind not in STANDARD_TYPES and kind.parent is not None:
            kind = kind.parent
        name = STANDARD_TYPES.get(kind, "")
        css = f"hl-{name}" if name else ""
        for at, part in enumerate(text.split("\n")):
            if at:
                found.append([])
            if part:
                found[-1].append((css, part))
    if found and not found[-1]:
        found.pop()
    return found[:_MAX_LINES]


def diff_lines(old: str, new: str, *, context: int = 4) -> list[tuple[str, str]]:
    """Return the difference of two sources: kind (`add`, `del`, `gap` or an empty string) and text of each line.

    Args:
        old: The earlier source.
        new: The later source.
        context: Equal lines around each change.
    """
    found: list[tuple[str, str]] = []
    kinds = {"+": "add", "-": "del", "@": "gap"}
    before, after = visible(old).split("\n")[:MAX_COMPARED], visible(new).split("\n")[:MAX_COMPARED]
    for at, line in enumerate(unified_diff(before, after, lineterm="", n=context)):
        # Skip the first two lines, which name the files.
        if at >= 2:
            kind = kinds.get(line[:1], "")
            found.append((kind, line if kind == "gap" else line[1:]))
    return found
