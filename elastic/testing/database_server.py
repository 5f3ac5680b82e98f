"""Database servers for tests: in a private folder, on a free port of the loopback interface."""

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

#: Maximum number of starts, and seconds between them, while an earlier server still uses its resources.
_MAX_STARTS = 50
_RETRY_SECONDS = 0.2


class ServerProcess(ABC):
    """Context manager that runs one database server during a `with` block.

    The server also ends with this process, even if this one is killed (Linux). Only its user may enter the folder of
    its files, which the exit of the block removes. The server requires a password.

        with PostgresServer() as server:
            SqlHook(url=server.url).get_first("select 1")

    Raises:
        ClusterError: The server cannot be started. The message gives the reason.
    """

    #: name of the product
    name = ""
    #: text in its log when it accepts connections
    ready = b""
    #: user that runs the server if this process is root, because the server refuses to run as root
    account = ""
    #: scheme of its URL
    scheme = ""
    #: query of its URL, after the name of the database
    settings = ""
    #: signal for a stop that does not wait for clients
    stop_signal = signal.SIGTERM
    #: name of the database in `url`
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
        """Return the reason why the server cannot run on this machine as a sentence, or None if it can."""

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Create the data files in a folder that the server's user owns."""

    @abstractmethod
    def command(self, folder: Path) -> list[str | Path]:
        """Return the command that runs the server in the foreground, on `port`."""

    @property
    def url(self) -> str:
        """URL of the first database, with the password."""
        return self.url_of(self.database)

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise ClusterError(f"{self.name} is not running; call start().")
        return self._process.pid

    def url_of(self, database: str) -> str:
        """Return the URL of a database of this server."""
        user = f"{self.login}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{user}@127.0.0.1:{self.port}/{database}{self.settings}"

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        from elastic.hooks import SqlHook

        name = f"d{secrets.token_hex(6)}"
        SqlHook(url=self.url).run([f"create database {name}"], autocommit=True)
        return self.url_of(name)

    def __enter__(self) -> Self:
        reason = self.missing()
        if reason is not None:
            raise ClusterError(reason)
        # Directly below the folder for temporary files, because the server may run as another user, and because the
        # path of a socket is limited to about 107 bytes.
        self._folder = make_owned_folder()
        try:
            self.give_to_account(self._folder)
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
        """Start the server, and return when it accepts connections. A restart uses the same port."""
        log = self._place() / "log"
        for _ in range(_MAX_STARTS):
            if self._started(log):
                return
            # The children of a killed server keep its shared memory until they notice its end.
            if b"in use" not in log.read_bytes():
                break
            time.sleep(_RETRY_SECONDS)
        raise ClusterError(f"{self.name} did not start; it printed: {log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """Stop the server, without waiting for its clients, and wait for its end."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill the server, as a power cut of its machine would; `start` finds the files that it had written."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop the server and remove its files. A second call does nothing."""
        self._end(self.stop_signal)
        if self._folder is not None:
            remove_owned_folder(self._folder)
            self._folder = None

    def call(self, *command: str | Path) -> None:
        """Run a program of the server to its end, as the server's user.

        Raises:
            ClusterError: The program failed. The message has its output.
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

    def give_to_account(self, path: Path) -> None:
        """Make the server's user the owner of a file or folder, if the server runs as another user."""
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

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _place(self) -> Path:
        if self._folder is None:
            raise ClusterError(f"{self.name} runs only inside its with block.")
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


def find_program(name: str, folders: str) -> Path | None:
    """Return a program on the path, or else in the newest folder that matches a pattern below `/`."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/").glob(folders), key=_version, reverse=True) if folders else []
    return next((place / name for place in places if (place / name).exists()), None)


def program(name: str, folders: str = "") -> Path:
    """Return the path of a required program.

    Raises:
        ClusterError: The program is missing.
    """
    found = find_program(name, folders)
    if found is None:
        raise ClusterError(f"the program {name!r} is missing on this machine; install it.")
    return found


def _version(folder: Path) -> int:
    return next((int(part) for part in folder.parts if part.isdecimal()), 0)
