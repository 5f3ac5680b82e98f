"""Escaping of strings that come from data, for a database, a log, a terminal or JSON.

Data contains NUL, half surrogate pairs (in names of files), control characters that move a cursor, and line ends that
make one line look like two. Only the functions of this module handle them.
"""

import re
import traceback

#: NUL: PostgreSQL refuses it. Surrogates: no encoding takes them.
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")

#: Control characters, line ends of Unicode, and marks that change the direction in which a terminal writes.
_CONTROL = "\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_OF_LINE = re.compile(f"[{_CONTROL}]")
_OF_LINES = re.compile(f"(?![\t\n])[{_CONTROL}]")
#: Characters that JSON does not escape. Two halves of a pair stay: JSON would read their escapes as one character.
_OF_JSON = re.compile(
    "[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
    "|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]"
)

#: Indent of the second and later lines of a message, so that none looks like a message of its own.
CONTINUED = "    "

_LEFT_OUT = " ... ({:,} characters left out) ... "


def number_of(count: int, one: str, several: str) -> str:
    """Return a number of things, such as `1 chunk` or `1,000 chunks`."""
    return f"{count:,} {one if count == 1 else several}"


def writable(text: str, longest: int | None = None) -> str:
    r"""Return a string that every database and encoding accepts: NUL and half surrogate pairs become `\x00`, `\udce9`.

    Args:
        text: Any string.
        longest: Maximum number of characters; the middle of a longer string is left out.
    """
    if not text.isascii() or "\0" in text:
        text = _UNWRITABLE.sub(_escape, text)
    return text if longest is None or len(text) <= longest else _shortened(text, longest)


def one_line(text: str) -> str:
    r"""Return a string for one line that moves no cursor: control characters and line ends become `\n`, `\x1b`.

    For cells, names and other parts of a line.
    """
    return text if text.isprintable() else _OF_LINE.sub(_escape, text)


def lines(text: str) -> str:
    """Return a string of several lines that moves no cursor: as `one_line`, but line ends and tabs stay."""
    return text if text.isprintable() else _OF_LINES.sub(_escape, text.replace("\r\n", "\n"))


def message(text: str) -> str:
    """Return a string as one message: as `lines`, and every line but the first is indented."""
    if text.isprintable():
        return text
    return lines(text).replace("\n", "\n" + CONTINUED)


def json_text(document: str) -> str:
    """Return a JSON document. Escape the characters that a terminal would obey or an encoding would refuse."""
    return document if document.isascii() and "\x7f" not in document else _OF_JSON.sub(_escape_in_json, document)


def error_text(error: BaseException) -> str:
    """Return the text of an error, or the class of the error that its `__str__` raised."""
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
    notice = _LEFT_OUT.format(len(text) - longest)
    kept = longest - len(notice)
    if kept < 2:
        return text[:longest]
    # The cause is at the end of a traceback, and at the beginning of a message.
    return text[: kept // 2] + notice + text[-(kept - kept // 2) :]


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _escape_in_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
