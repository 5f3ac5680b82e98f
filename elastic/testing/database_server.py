"""A server program of this machine, run for tests: in a private folder, on a free port of the loopback interface."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from elastic.core.errors import ClusterError
from elastic.stages.ray_backend.startup.owned_folder import make_owned_folder, remove_owned_folder
from elastic.testing.child_process import start_child

_START_SECONDS = 60
_STOP_SECONDS = 30

#: How often a start is tried, and seconds between, while something of an earlier server is still there.
_TRIES = 50
_PAUSE_SECONDS = 0.2


class ServerProcess(ABC):
    """Starts a database server when a `with` block begins, and ends exactly this one when it is left.

    It ends with this process too, also when this one is killed (Linux). Its files are in a folder that only its user
    may enter and that is removed in the end. It wants a password.

        with PostgresServer() as server:
            SqlHook(url=server.url).get_first("select 1")

    Raises:
        ClusterError: It cannot be started; says in a sentence why.
    """

    #: how the server is called
    name = ""
    #: what its log says when it takes connections
    ready = b""
    #: the user of this machine that runs it where we are root, because it refuses to be root
    account = ""
    #: in front of `://` in its URL
    scheme = ""
    #: what follows the name of a database in its URL
    settings = ""
    #: the signal that asks it to stop without waiting for its clients
    stop_signal = signal.SIGTERM
    #: the database of `url`
    database = "elastic"

    login = "elastic"

    def __init__(self) -> None:
        self.port = 0
        self.password = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Return a sentence that says why it cannot be started on this machine, or None."""

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Make its data files in a folder that its user owns."""

    @abstractmethod
    def command(self, folder: Path) -> list[str | Path]:
        """Return what starts it, in the foreground, on `port`."""

    @property
    def url(self) -> str:
        """The URL of its first database, with the password."""
        return self.url_of(self.database)

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        if self._process is None:
            raise ClusterError(f"{self.name} does not run.")
        return self._process.pid

    def url_of(self, database: str) -> str:
        """Return the URL of one of its databases."""
        user = f"{self.login}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{user}@127.0.0.1:{self.port}/{database}{self.settings}"

    def create_database(self) -> str:
        """Make a new empty database and return its URL."""
        from elastic.hooks import SqlHook

        name = f"d{secrets.token_hex(6)}"
        SqlHook(url=self.url).run([f"create database {name}"], autocommit=True)
        return self.url_of(name)

    def __enter__(self) -> Self:
        reason = self.missing()
        if reason is not None:
            raise ClusterError(reason)
        # Directly below the folder for temporary files: another user than this one must be able to reach it,
        # and the path of a socket may have about 107 characters.
        self._folder = make_owned_folder()
        try:
            self.give(self._folder)
            self.prepare(self._folder)
            self.port = _free_port()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start it, after `stop` or `kill` once more and on the same port; returns when it takes connections."""
        log = self._place() / "log"
        for _ in range(_TRIES):
            if self._started(log):
                return
            # What was killed a moment ago leaves children behind that hold its memory until they notice.
            if b"in use" not in log.read_bytes():
                break
            time.sleep(_PAUSE_SECONDS)
        raise ClusterError(f"{self.name} did not start; it printed: {log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """Ask it to end, whoever is connected, and wait for it."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it at once, as when its machine loses power; what it had written is still there for `start`."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop it and remove its files; may be called twice."""
        self._end(self.stop_signal)
        if self._folder is not None:
            remove_owned_folder(self._folder)
            self._folder = None

    def call(self, *command: str | Path) -> None:
        """Run one of its programs to the end, as its user.

        Raises:
            ClusterError: It failed; shows what it printed.
        """
        folder = self._place()
        done = subprocess.run(  # noqa: S603 - the command is made by a subclass
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=folder,
            env=_environment(folder),
            check=False,
            **self._as_account(),
        )
        if done.returncode:
            printed = (done.stderr + done.stdout).decode(errors="replace")[-2000:]
            raise ClusterError(f"{Path(command[0]).name} of {self.name} failed; it printed: {printed}")

    def give(self, path: Path) -> None:
        """Let the server's user own a file or folder, where it is another one than this process's."""
        if os.geteuid() == 0:
            user = self._account()
            os.chown(path, user.pw_uid, user.pw_gid)

    def _started(self, log: Path) -> bool:
        with log.open("wb") as output:
            self._process = start_child(
                self.command(self._place()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._place(),
                env=_environment(self._place()),
                start_new_session=True,
                **self._as_account(),
            )
        for _ in range(_START_SECONDS * 20):
            if self.ready in log.read_bytes():
                return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
                break
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _place(self) -> Path:
        if self._folder is None:
            raise ClusterError(f"{self.name} runs only within its with block.")
        return self._folder

    def _account(self) -> pwd.struct_passwd:
        names = [user.pw_name for user in pwd.getpwall()]
        return pwd.getpwnam(self.account if self.account in names else "nobody")

    def _as_account(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        user = self._account()
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.defpath + ":/usr/sbin:/sbin", "LC_ALL": "C", "HOME": str(folder), "TMPDIR": str(folder)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def found_program(name: str, folders: str) -> Path | None:
    """Return a program on the path, or in the newest of the folders that a pattern from the root gives."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/").glob(folders), key=_version, reverse=True) if folders else []
    return next((place / name for place in places if (place / name).exists()), None)


def program(name: str, folders: str = "") -> Path:
    """Return a program that must be there.

    Raises:
        ClusterError: It is not.
    """
    found = found_program(name, folders)
    if found is None:
        raise ClusterError(f"the program {name!r} cannot be found on this machine.")
    return found


def _version(folder: Path) -> int:
    return next((int(part) for part in folder.parts if part.isdecimal()), 0)
