"""Text that came from data, made fit for the place that it goes to: a database, a log, a terminal, JSON.

Data brings NUL, half surrogate pairs (from names of files), control characters that move a cursor, and line ends that
make one line look like two. The functions here are the only place that knows them.
"""

import re
import traceback

#: NUL: PostgreSQL refuses it. Surrogates: no encoding takes them.
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")

#: Control characters, line ends of Unicode, and marks that turn the direction in which a terminal writes.
_CONTROL = "\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_OF_LINE = re.compile(f"[{_CONTROL}]")
_OF_LINES = re.compile(f"(?![\t\n])[{_CONTROL}]")
#: Those that JSON leaves as they are. Two halves side by side stay: escaped, JSON would read them as one character.
_OF_JSON = re.compile(
    "[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
    "|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]"
)

#: What the second and later lines of one message begin with, so that none passes for a message of its own.
CONTINUED = "    "

_LEFT_OUT = " ... ({:,} characters left out) ... "


def writable(text: str, longest: int | None = None) -> str:
    r"""Return a text that every database and encoding takes: NUL and half surrogate pairs become `\x00`, `\udce9`.

    Args:
        text: Any text.
        longest: The most characters; the middle of a longer text is left out.
    """
    if not text.isascii() or "\0" in text:
        text = _UNWRITABLE.sub(_escape, text)
    return text if longest is None or len(text) <= longest else _shortened(text, longest)


def one_line(text: str) -> str:
    r"""Return a text that stays on its line and moves no cursor: control characters and line ends become `\n`, `\x1b`.

    For cells, names, and whatever is a part of a line.
    """
    return text if text.isprintable() else _OF_LINE.sub(_escape, text)


def lines(text: str) -> str:
    """Return a text of several lines that moves no cursor: as `one_line`, but line ends and tabs stay."""
    return text if text.isprintable() else _OF_LINES.sub(_escape, text.replace("\r\n", "\n"))


def message(text: str) -> str:
    """Return a text as one message: as `lines`, and every line but the first is indented."""
    if text.isprintable():
        return text
    return lines(text).replace("\n", "\n" + CONTINUED)


def json_text(document: str) -> str:
    """Return a JSON document with the characters escaped that a terminal would obey or an encoding refuse."""
    return document if document.isascii() and "\x7f" not in document else _OF_JSON.sub(_escape_in_json, document)


def error_text(error: BaseException) -> str:
    """Return the text of an error, or its class if it cannot make its text."""
    try:
        return str(error)
    except Exception as unprintable:
        return f"(its text cannot be made: {type(unprintable).__name__})"


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an error as text, or the reason why there is none."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception as unprintable:
        return f"(the traceback cannot be made: {type(unprintable).__name__})"


def _shortened(text: str, longest: int) -> str:
    told = _LEFT_OUT.format(len(text) - longest)
    kept = longest - len(told)
    if kept < 2:
        return text[:longest]
    # An error tells what happened at its end, a message at its beginning.
    return text[: kept // 2] + told + text[-(kept - kept // 2) :]


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _escape_in_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
