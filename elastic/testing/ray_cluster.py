"""Ray cluster of several nodes on this machine, for tests; it uses `ray start`."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Self

from elastic.core.errors import ClusterError
from elastic.stages.ray_backend.startup.owned_folder import make_owned_folder, remove_owned_folder
from elastic.testing.child_process import start_child

#: Folder that this package was imported from. Drivers and nodes must import the same one.
_IMPORT_FOLDER = Path(__file__).resolve().parents[2]

_START_SECONDS = 90

#: Maximum number of starts of a node: on a busy machine, Ray gives up after half a minute.
_MAX_STARTS = 3


class RayCluster:
    """Context manager that runs Ray nodes on ports of their own during a `with` block.

    The nodes also end with this process (Linux). They communicate over loopback and require a token, because Ray 2.60
    cannot restrict the nodes of a cluster to loopback.

    Drivers connect with the variables in `environment`, which have the address and the token:

        with RayCluster(cpus=(1, 1)) as cluster:
            subprocess.run([sys.executable, "driver.py"], env=cluster.environment)

    Args:
        cpus: CPUs of each node; the first node is the head.
        environments: Environment variables of each node, in addition to those of this process.
        hidden_from: For each node, the name of a folder below `folder` that is empty for the node, or None. Requires
            the right to create mount namespaces.

    Raises:
        ClusterError: A node did not start in time. The message has its output.
    """

    def __init__(
        self,
        cpus: tuple[int, ...] = (1, 1),
        environments: tuple[dict[str, str], ...] = (),
        hidden_from: tuple[str | None, ...] = (),
    ) -> None:
        self._cpus = cpus
        self._environments = environments
        self.hidden_from = hidden_from
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.folder = make_owned_folder()
        self.address = f"127.0.0.1:{_free_port()}"
        token = self.folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        #: environment variables for drivers
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(_IMPORT_FOLDER),
            "RAY_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def __enter__(self) -> Self:
        try:
            for number in range(len(self._cpus)):
                self._start(number)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop_node(self, number: int) -> None:
        """Kill a node, as a failure of its machine would."""
        _end(self._nodes[number])

    def stop(self) -> None:
        """Kill all nodes and remove their files. A second call does nothing."""
        for node in reversed(self._nodes):
            _end(node)
        self._nodes = []
        remove_owned_folder(self.folder)

    def _start(self, number: int) -> None:
        command, log = self._command(number), self.folder / f"node{number}.log"
        for _ in range(_MAX_STARTS):
            node = self._begin(number, command, log)
            if _is_up(node, log):
                self._nodes.append(node)
                return
            _end(node)
        raise ClusterError(f"a Ray node did not start; it printed: {log.read_text(errors='replace')[-2000:]}")

    def _command(self, number: int) -> list[str]:
        """Return the command that starts a node and ends with it."""
        role = ["--head", f"--port={self.address.rpartition(':')[2]}"] if number == 0 else [f"--address={self.address}"]
        command = [
            str(Path(sysconfig.get_path("scripts")) / "ray"), "start", *role, "--block",
            "--node-ip-address=127.0.0.1", f"--num-cpus={self._cpus[number]}",
            "--disable-usage-stats",
        ]  # fmt: skip
        if number == 0:
            command += [f"--temp-dir={self.folder}", "--include-dashboard=false", "--no-monitor"]
        return [*self._hiding_command(number), *command]

    def _begin(self, number: int, command: list[str], log: Path) -> "subprocess.Popen[bytes]":
        extra = self._environments[number] if number < len(self._environments) else {}
        with log.open("wb") as output:
            # A new session, so that its process group has exactly the processes that the node starts.
            return start_child(
                command,
                env={**self.environment, **extra},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _hiding_command(self, number: int) -> list[str]:
        """Return the command that hides a folder from a node, to prepend to the node's own command."""
        name = self.hidden_from[number] if number < len(self.hidden_from) else None
        if name is None:
            return []
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        hide = 'mount -t tmpfs none "$0" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", hide, str(folder)]


def _is_up(node: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Wait until a node is up. Return False if it ended or timed out."""
    for _ in range(_START_SECONDS * 5):
        if b"Ray runtime started" in log.read_bytes():
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.wait(0.2)
            break
    return False


def _end(node: "subprocess.Popen[bytes]") -> None:
    # SIGKILL, because Ray takes long to end by itself. The processes of the node are in its process group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
