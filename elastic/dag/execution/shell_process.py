"""Command in a process group of its own, with its output line by line."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from elastic.config.options import OPTIONS

#: Seconds between SIGTERM and SIGKILL.
GRACE_SECONDS = 5.0

#: Maximum length of a line in bytes; longer ones are split, so that output without newlines does not fill the memory.
_MAX_LINE_BYTES = 64 * 1024

#: Seconds between checks whether the command has ended while one of its children keeps the output open.
_POLL_SECONDS = 0.1

#: Environment variables that every command gets.
_REQUIRED_VARIABLES = frozenset({"PATH", "HOME"})

#: Variables of secret settings, also those that name a command or a file with the secret. No command gets them.
_SECRET_VARIABLES = frozenset(
    f"{option.variable}{how}" for option in OPTIONS if option.is_secret for how in ("", "_CMD", "_FILE")
)


class ShellProcess:
    """Running command.

    Args:
        words: The program and its arguments.
        environment: Environment variables of the command.
        folder: The working directory; None for that of this process.
        append_env: Also pass the variables of this process, except secret settings and the URL of the database.

    Raises:
        OSError: The program or the folder does not exist.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: str | None, *, append_env: bool = True
    ) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _REQUIRED_VARIABLES or (append_env and name.upper() not in _SECRET_VARIABLES)
        }
        # In a session of its own, its children belong to its process group, and Ctrl-C reaches only this process.
        self._process = subprocess.Popen(  # noqa: S603 - runs a command of the user on purpose
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**kept, **environment},
            cwd=folder,
            start_new_session=True,
        )
        #: True if the last item of `lines` is a piece of a split line
        self.is_piece = False

    def lines(self) -> Iterator[str]:
        """Yield the lines of stdout and stderr as they arrive, until the command has ended.

        Do not wait for background processes of the command, even if they keep its output open.
        """
        pending, is_split = b"", False
        for chunk in self._chunks():
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                pieces = list(_pieces(line))
                self.is_piece, is_split = is_split or len(pieces) > 1, False
                yield from map(_text, pieces)
            if len(pending) > _MAX_LINE_BYTES:
                *pieces, pending = _pieces(pending)
                self.is_piece = is_split = True
                yield from map(_text, pieces)
        if pending:
            self.is_piece = is_split
            yield _text(pending)

    def _chunks(self) -> Iterator[bytes]:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it is a pipe
        with output:
            while True:
                has_ended = self._process.poll() is not None
                ready, _, _ = select.select([output], [], [], 0 if has_ended else _POLL_SECONDS)
                if ready:
                    part = os.read(output.fileno(), _MAX_LINE_BYTES)
                    if not part:
                        break
                    yield part
                elif has_ended:
                    break

    def exit_code(self) -> int:
        """Wait for the end, and return the exit code; the negative signal number if a signal ended it."""
        return self._process.wait()

    def exit_status(self) -> str:
        """Return how the command ended: `exit code 3`, `signal SIGKILL`."""
        code = self.exit_code()
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def kill(self) -> None:
        """End the command and its process group: send SIGTERM, and SIGKILL after `GRACE_SECONDS`."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _pieces(line: bytes) -> Iterator[bytes]:
    """Split a line into pieces of at most `_MAX_LINE_BYTES`, never within a UTF-8 character."""
    while len(line) > _MAX_LINE_BYTES:
        # Continuation bytes of a character start with the bits 10; there are at most three.
        first = (cut for cut in range(_MAX_LINE_BYTES, _MAX_LINE_BYTES - 4, -1) if line[cut] & 0xC0 != 0x80)
        cut = next(first, _MAX_LINE_BYTES)
        yield line[:cut]
        line = line[cut:]
    yield line


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")
