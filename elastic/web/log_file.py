"""Log files of attempts, read in pieces from their end.

A log may have any size, and its content is data: a piece has at most 64 KiB, long lines are cut, and control sequences
of terminals are left out. The path is computed from ids and a date, never taken from a request, and no part of it below
the folder of logs may be a symbolic link.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elastic.core.errors import ElasticError
from elastic.core.text import lines as visible

#: Maximum size of a piece (bytes).
PIECE_BYTES = 64 * 1024
#: Maximum number of bytes of a line that are shown.
LINE_BYTES = 4 * 1024
#: Maximum number of bytes that a search for an error, or a count of lines, reads.
SEARCH_BYTES = 16 * 1024 * 1024
#: Bytes that a piece shows before the requested line.
_CONTEXT_BYTES = 4 * 1024

_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movements of the cursor
    r"|\x1b[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, PM, APC, SOS: titles, links
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_LEVEL = re.compile(r"\[[^\]]{10,40}\] \{[^}]{1,250}\} (DEBUG|INFO|WARNING|ERROR|CRITICAL) - ")
_ERROR = re.compile(
    rb"^\[[^\]\n]{10,40}\] \{[^}\n]{1,250}\} (?:ERROR|CRITICAL) - |^Traceback \(most recent", re.MULTILINE
)
_ERROR_MARKS = (b" ERROR - ", b" CRITICAL - ", b"Traceback (most recent")
_TRY = re.compile(rb"^(?:New run|Retry run \d+ out of \d+) starting @", re.MULTILINE)


class MissingLogError(ElasticError):
    """The log file of a task instance does not exist, or must not be shown."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"the log file {self.path} {self.reason}."


@dataclass(frozen=True, slots=True)
class ShownLine:
    """Line of a log."""

    #: offset of its first byte, which identifies it in a link
    offset: int
    #: without control sequences; cut after 4 KiB
    text: str
    #: level in lower case; for a continued message, that of the line above; empty if unknown
    level: str
    #: number of bytes that are not shown
    cut: int = 0
    #: number of the line from 1; 0 if unknown
    number: int = 0


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Consecutive lines of a log."""

    lines: tuple[ShownLine, ...]
    #: offsets of the first byte, and of the next piece, which starts after the last whole line
    start: int
    end: int
    #: size of the file (bytes)
    size: int
    #: last line of the file if it does not end with a newline yet
    partial: ShownLine | None = None


class LogFile:
    """Open log file, or the part of one attempt. Use `open_log`, and `part`.

    Args:
        descriptor: Descriptor of a regular file, which the caller closes.
        first: Offset of the first byte, at which a line starts.
        stop: Offset after the last byte, if it is before the end of the file.
    """

    def __init__(self, descriptor: int, first: int = 0, stop: int | None = None) -> None:
        self._descriptor = descriptor
        end = os.fstat(descriptor).st_size
        #: offset after the last byte
        self.size = end if stop is None else min(end, stop)
        self.first = min(first, self.size)

    def part(self, first: int, stop: int | None) -> "LogFile":
        """Return the part of the same file between two offsets, at which lines start; None for the end."""
        return LogFile(self._descriptor, first, stop)

    def last_piece(self, max_bytes: int = PIECE_BYTES) -> LogPiece:
        """Return the last lines."""
        return self.piece(self._line_start(max(self.first, self.size - max_bytes)), max_bytes)

    def piece_before(self, end: int, max_bytes: int = PIECE_BYTES) -> LogPiece:
        """Return the lines before an offset at which a line starts."""
        end = max(self.first, min(end, self.size))
        start = self._line_start(max(self.first, end - max_bytes), limit=end)
        return self.piece(start, end - start)

    def piece(self, start: int, max_bytes: int = PIECE_BYTES) -> LogPiece:
        """Return the lines from an offset on, at which a line starts. There are none after the end of the file."""
        start = max(self.first, min(start, self.size))
        data = self._read(start, min(max_bytes, PIECE_BYTES, self.size - start))
        whole, partial = _divided(data)
        is_end = start + len(data) >= self.size
        if partial and not is_end:
            # A line longer than the piece is cut here, and the next piece starts inside it.
            whole, partial = whole or [partial], b""
        found, offset, level, number = [], start, self._level_before(start), self._line_number(start)
        for raw in whole:
            line = _line(offset, raw, level, number)
            found.append(line)
            level, offset, number = line.level, offset + len(raw), number + 1 if number else 0
        last = _line(offset, partial, level, number) if partial else None
        return LogPiece(tuple(found), start, offset, self.size, last)

    def piece_around(self, offset: int) -> LogPiece:
        """Return the lines around an offset, with a few lines before it; near the end, the last lines."""
        if offset >= self.size - PIECE_BYTES:
            return self.last_piece()
        return self.piece(self._line_start(max(self.first, offset - _CONTEXT_BYTES)))

    def first_error(self) -> int | None:
        """Return the offset of the first error of the last attempt in the last 16 MiB, or None."""
        begin = max(self.first, self.size - SEARCH_BYTES)
        data = self._read(begin, self.size - begin)
        tries = [0, *_matches(_TRY, b" starting @", data)]
        found = [next(_matches(_ERROR, mark, data, tries[-1]), None) for mark in _ERROR_MARKS]
        return min((begin + at for at in found if at is not None), default=None)

    def tries(self) -> list[int]:
        """Return the offsets at which the attempts start in a file of at most 16 MiB; none in a larger one."""
        if self.size > SEARCH_BYTES:
            return []
        data = self._read(0, SEARCH_BYTES)
        return [_rule_before(data, at) for at in _matches(_TRY, b" starting @", data)]

    def read(self, offset: int, count: int) -> bytes:
        """Return unchanged bytes from an offset on; fewer at the end of the file."""
        return self._read(offset, min(count, PIECE_BYTES))

    def blocks(self) -> Iterator[bytes]:
        """Yield the unchanged content, up to the current size."""
        for at in range(0, self.size, PIECE_BYTES):
            data = self._read(at, min(PIECE_BYTES, self.size - at))
            if not data:
                return
            yield data

    def _line_start(self, offset: int, limit: int | None = None) -> int:
        """Return the offset of the first line that starts at an offset or after it; the offset if there is none."""
        if offset <= self.first:
            return self.first
        data = self._read(offset - 1, min(PIECE_BYTES, (limit or self.size) - offset + 1))
        found = data.find(b"\n")
        is_inside = 0 <= found < len(data) - 1
        return offset + found if is_inside else offset

    def _line_number(self, offset: int) -> int:
        """Return the number of the line at an offset; 0 if counting would take too long."""
        if offset > SEARCH_BYTES:
            return 0
        step = 1024 * 1024
        return 1 + sum(self._read(at, min(step, offset - at)).count(b"\n") for at in range(0, offset, step))

    def _level_before(self, offset: int) -> str:
        """Return the level of the message that the line at an offset may continue."""
        before = self._read(max(0, offset - _CONTEXT_BYTES), min(offset, _CONTEXT_BYTES)).decode(errors="replace")
        levels = [found for line in before.splitlines() if (found := _LEVEL.match(line))]
        return levels[-1][1].lower() if levels else ""

    def _read(self, offset: int, count: int) -> bytes:
        found = []
        while count > 0 and (data := os.pread(self._descriptor, min(count, 1024 * 1024), offset)):
            found.append(data)
            offset, count = offset + len(data), count - len(data)
        return b"".join(found)


@contextmanager
def open_log(root: Path, path: Path) -> Iterator[LogFile]:
    """Open the log file at a path below a folder, without following symbolic links below it.

    Raises:
        MissingLogError: The file is missing, cannot be read, or is not a regular file.
    """
    parts = _parts_below(root, path)
    opened: list[int] = []
    try:
        opened.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for name in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            opened.append(os.open(name, flags, dir_fd=opened[-1]))
        # Without O_NONBLOCK, opening a FIFO would wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        opened.append(os.open(parts[-1], flags, dir_fd=opened[-1]))
        if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):
            raise MissingLogError(str(path), "is not a regular file")
        log = LogFile(opened[-1])
    except (OSError, ValueError) as error:
        for descriptor in opened:
            os.close(descriptor)
        raise MissingLogError(str(path), _reason(error)) from error
    except MissingLogError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    try:
        yield log
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _parts_below(root: Path, path: Path) -> tuple[str, ...]:
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        parts = ()
    if not parts or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise MissingLogError(str(path), f"is not below the folder of logs {root}")
    return parts


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, PermissionError):
        return "cannot be read by the user of this process"
    return f"cannot be read ({getattr(error, 'strerror', None) or error})"


#: Maximum number of bytes of a line up to the mark of its level or of an attempt.
_MAX_HEAD = 400
#: Number of lines with a mark after which the pattern tries every line: with more of them, that takes less time.
_MAX_MARKS = 50_000


def _matches(pattern: re.Pattern[bytes], mark: bytes, data: bytes, start: int = 0) -> Iterator[int]:
    """Yield where lines start that match a pattern, all of which have a mark.

    The search for the mark takes a thirtieth of the time of the pattern, which has to try every line.
    """
    at, count = data.find(mark, start), 0
    while at >= 0:
        begin = data.rfind(b"\n", max(0, at - _MAX_HEAD), at) + 1
        if (begin or at <= _MAX_HEAD) and pattern.match(data, begin):
            yield begin
        end, count = data.find(b"\n", at), count + 1
        if end >= 0 and count == _MAX_MARKS:
            yield from (found.start() for found in pattern.finditer(data, end + 1))
            return
        at = data.find(mark, end) if end >= 0 else -1


def _rule_before(data: bytes, start: int) -> int:
    """Return where the rule above a line starts; the start of the line if there is none."""
    begin = data.rfind(b"\n", max(0, start - _MAX_HEAD), max(0, start - 1)) + 1
    return begin if start - begin > 20 and not data[begin : start - 1].strip(b"-") else start


def _divided(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole lines with their newlines, and the remainder without one."""
    end = data.rfind(b"\n") + 1
    return ([line + b"\n" for line in data[:end].split(b"\n")[:-1]], data[end:])


def _line(offset: int, raw: bytes, level: str, number: int) -> ShownLine:
    content = raw.rstrip(b"\r\n")
    kept = content[:LINE_BYTES].decode("utf-8", "ignore" if len(content) > LINE_BYTES else "backslashreplace")
    text = shown_text(kept)
    found = _LEVEL.match(text)
    if found:
        level = found[1].lower()
    elif text.startswith("[") or not text.strip("-"):
        level = ""
    return ShownLine(offset, text, level, max(0, len(content) - LINE_BYTES), number)


def shown_text(text: str) -> str:
    """Return a line for display: without control sequences, and with the last state of a progress bar."""
    text = _TERMINAL.sub("", text)
    if "\r" in text:
        text = next((part for part in reversed(text.split("\r")) if part), "")
    return visible(text)
