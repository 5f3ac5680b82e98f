"""A command in a process group of its own, whose output is read line by line."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from elastic.config.options import OPTIONS

#: How long a command may take to end after it was asked to, in seconds.
GRACE = 5.0

#: A line is cut after so many bytes, so that output without an end of line does not fill the memory.
_LONGEST = 64 * 1024

#: How often it is looked whether the command ended while something it started keeps its output open, in seconds.
_LOOK = 0.1

#: Variables that a command finds in any case.
_LEAST = frozenset({"PATH", "HOME"})

#: Settings that open all secrets. How they are come by, by a command or a file, is no affair of a command either.
_KEYS = frozenset(f"{option.variable}{how}" for option in OPTIONS if option.is_secret for how in ("", "_CMD", "_FILE"))


class ShellProcess:
    """A running command.

    Args:
        words: The program and its arguments.
        environment: Environment variables, as they are given.
        folder: Where it runs; None for the folder of this process.
        append_env: Give it the variables of this process too, but for the keys of secrets and the database's URL.

    Raises:
        OSError: The program or the folder is not there.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: str | None, *, append_env: bool = True
    ) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _LEAST or (append_env and name.upper() not in _KEYS)
        }
        # A session of its own: all that it starts is one group, and a terminal's Ctrl-C comes to us first.
        self._process = subprocess.Popen(  # noqa: S603 - to run what a user wrote is what it is for
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**kept, **environment},
            cwd=folder,
            start_new_session=True,
        )
        #: what `lines` gave last is a piece of a line that was cut
        self.is_piece = False

    def lines(self) -> Iterator[str]:
        """Yield the lines of stdout and stderr as they come, until the command has ended.

        What the command left running in the background may still hold its output; that is not waited for.
        """
        pending, is_cut = b"", False
        for part in self._parts():
            *lines, pending = (pending + part).split(b"\n")
            for line in lines:
                pieces = list(_pieces(line))
                self.is_piece, is_cut = is_cut or len(pieces) > 1, False
                yield from map(_text, pieces)
            if len(pending) > _LONGEST:
                *pieces, pending = _pieces(pending)
                self.is_piece = is_cut = True
                yield from map(_text, pieces)
        if pending:
            self.is_piece = is_cut
            yield _text(pending)

    def _parts(self) -> Iterator[bytes]:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it is a pipe
        with output:
            while True:
                has_ended = self._process.poll() is not None
                ready, _, _ = select.select([output], [], [], 0 if has_ended else _LOOK)
                if ready:
                    part = os.read(output.fileno(), _LONGEST)
                    if not part:
                        break
                    yield part
                elif has_ended:
                    break

    def exit_code(self) -> int:
        """Wait for the end and return the exit code; minus the number of the signal that ended it."""
        return self._process.wait()

    def ending(self) -> str:
        """Say how the command ended: `exit code 3`, `signal SIGKILL`."""
        code = self.exit_code()
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def kill(self) -> None:
        """End the command and all that it started in its group: first ask, after `GRACE` seconds force."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _pieces(line: bytes) -> Iterator[bytes]:
    """Cut a line into pieces that are short enough, and never within a character of UTF-8."""
    while len(line) > _LONGEST:
        # The bytes of a character after its first begin with the bits 10; there are three at most.
        first = (cut for cut in range(_LONGEST, _LONGEST - 4, -1) if line[cut] & 0xC0 != 0x80)
        cut = next(first, _LONGEST)
        yield line[:cut]
        line = line[cut:]
    yield line


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")
