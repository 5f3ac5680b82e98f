"""Parts of the service in the background: start, stop and status, with a pid file and a log in the home folder."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elastic.core.errors import ElasticError, UsageError
from elastic.persistence.durable_file import make_folder
from elastic.scheduler.attempts.process_identity import ProcessIdentity, host_and_boot

#: Parts by name, with the command that each runs.
PARTS: dict[str, tuple[str, ...]] = {
    "scheduler": ("master",),
    "triggerer": ("triggerer",),
    "worker": ("worker",),
    "webserver": ("webserver",),
}

#: Word that each part prints once it works.
_READY = b" serves "

#: Seconds for which a started part is watched, so that one that ends at once is reported.
_WATCHED_SECONDS = 60.0

_POLL_SECONDS = 0.05

#: Seconds that the kernel may take to end a killed process.
_KILL_SECONDS = 5.0

#: Bytes at the end of a log in which the reason of a failed start is looked for.
_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class BackgroundPart:
    """Part of the service that runs in the background.

    The pid file names the process, its start time, its host and the boot of the host. A process receives a signal only
    if all of them match, because the kernel reuses pids, and hosts may share the home folder.
    """

    name: str
    #: folder of the pid file and the log
    home: Path

    @classmethod
    def of(cls, name: str, home: Path) -> "BackgroundPart":
        """Return a part by its name.

        Raises:
            UsageError: There is no such part.
        """
        if name not in PARTS:
            raise UsageError(f"there is no service {name!r}; choose one of {', '.join(PARTS)}.")
        return cls(name, home)

    @property
    def pid_path(self) -> Path:
        """File with the identity of the process."""
        return self.home / f"elastic-{self.name}.pid"

    @property
    def log_path(self) -> Path:
        """File with the output of the process."""
        return self.home / f"elastic-{self.name}.log"

    def process(self) -> ProcessIdentity | None:
        """Return the running process, or None.

        Raises:
            UsageError: The pid file has other content, or names a process that this host cannot see.
        """
        try:
            text = self.pid_path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.pid_path} cannot be read ({error}); remove it if nothing runs.") from error
        identity, _, place = text.partition("\n")
        found = ProcessIdentity.parse(identity)
        if found is None:
            raise UsageError(f"{self.pid_path} names no process; remove it if nothing runs.")
        if found.is_running:
            return found
        if found.has_exited or _is_earlier_boot(place):
            return None
        raise UsageError(
            f"{self.pid_path} names process {found.pid} of another host or container, which cannot be seen from here; "
            f"stop the {self.name} there, or remove the file if it has ended."
        )

    def start(self, arguments: Sequence[str] = ()) -> int:
        """Start the part, and return its pid.

        Raises:
            UsageError: It runs already.
            ElasticError: It ended at once; the error has the last line of its log.
        """
        make_folder(self.home, is_durable=False)
        with self._locked():
            running = self.process()
            if running is not None:
                raise UsageError(f"the {self.name} runs already (pid {running.pid}); stop it first.")
            size = self._log_size()
            child = self._spawn(arguments)
            self._write_pid(child.pid)
        self._watch(child, size)
        return child.pid

    def _spawn(self, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603 - a command of Elastic
                [sys.executable, "-m", "elastic", *PARTS[self.name], *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time read and replace the pid file."""
        path = self.home / f"elastic-{self.name}.lock"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _remove_stale_file(self) -> None:
        """Remove the pid file, unless another command has started the part meanwhile."""
        if self.pid_path.exists():
            with self._locked():
                if self.process() is None:
                    self.pid_path.unlink(missing_ok=True)

    def stop(self, timeout: float) -> int | None:
        """Stop the part, and wait for its end; after `timeout` seconds, kill it. Return its pid, or None.

        Raises:
            UsageError: The process cannot be seen from here, or belongs to another user.
        """
        running = self.process()
        if running is None:
            self._remove_stale_file()
            return None
        self._signal(running, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while running.is_running and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._signal(running, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_SECONDS
        while running.is_running and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._remove_stale_file()
        return running.pid

    def _signal(self, process: ProcessIdentity, number: signal.Signals) -> None:
        """Send a signal to the process if it still runs; SIGKILL reaches its group too."""
        if not process.is_running:
            return
        try:
            (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)
        except ProcessLookupError:
            return
        except PermissionError as error:
            why = f"the {self.name} (pid {process.pid}) belongs to another user; stop it as that user."
            raise UsageError(why) from error

    def _watch(self, child: "subprocess.Popen[bytes]", size: int) -> None:
        """Wait until a part works; raise an error if it ends before. `size` is that of the log before the start."""
        deadline = time.monotonic() + _WATCHED_SECONDS
        while time.monotonic() < deadline and _READY not in self._printed_after(size):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(_POLL_SECONDS)
                self._remove_stale_file()
                raise ElasticError(f"the {self.name} ended at once with exit code {code}: {self._last_line()}")

    def _printed_after(self, size: int) -> bytes:
        with self.log_path.open("rb") as file:
            file.seek(size)
            return file.read()

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def _write_pid(self, pid: int) -> None:
        """Write the pid file in one step, so that no reader sees a part of it."""
        identity = ProcessIdentity.of(pid)
        new = self.pid_path.with_suffix(".pid.new")
        new.write_text(f"{identity}\n{' '.join(host_and_boot())}\n", encoding="utf-8")
        new.replace(self.pid_path)

    def _last_line(self) -> str:
        with self.log_path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            found = file.read().decode("utf-8", "replace").strip().splitlines()
        return found[-1].removeprefix("error: ") if found else f"{self.log_path} has no line"


def _is_earlier_boot(place: str) -> bool:
    """Return whether a place, as the pid file names it, is an earlier boot of this host, whose processes have ended."""
    here, boot = host_and_boot()
    host, _, earlier = place.partition(" ")
    return host == here and bool(earlier and boot) and earlier != boot
