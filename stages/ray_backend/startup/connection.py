"""Connection to Ray: an embedded one, or a running cluster."""

import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import ray
from ray._private.node import Node
from ray._private.services import canonicalize_bootstrap_address

from elastic.core.errors import ClusterError, UsageError
from elastic.core.interrupts import ignore_repeats
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.process_stat import read_process_stat
from elastic.stages.ray_backend.startup.environment import connected_parent, private_folder
from elastic.stages.ray_backend.startup.permanent_thread import call_in_lasting_thread
from elastic.stages.ray_backend.startup.serializers import import_all

#: Seconds in which the address of a cluster must accept a connection.
_CONNECT_TIMEOUT = 5.0

#: Maximum number of attempts to start an embedded Ray.
_MAX_ATTEMPTS = 3

#: Seconds in which Ctrl-C does not break the shutdown of an embedded Ray at the exit of this process.
_EXIT_SECONDS = 10.0

#: Seconds for which an exit waits for an interrupted start, unless Ctrl-C breaks the wait. Ray gives up earlier.
_PENDING_START_SECONDS = 60.0

#: Prefixes of lines that Ray 2.60 itself writes into the log files of a worker.
_LOG_MARKERS = (b":job_id:", b":actor_name:", b":task_name:")


#: Guards this process's connection to Ray: one thread at a time may create it.
_lock = threading.Lock()

#: At most one pending start of an embedded Ray, or connection to a cluster, whose result no caller has read.
_starts: "list[Future[None]]" = []


def connect(cluster: str, *, cpus: int | None = None, start_timeout: float = EngineTuning().start_timeout) -> None:
    """Connect this process to Ray, unless it is already connected; may be called from any thread.

    An embedded Ray serves later runs of this process and ends with it. Call `environment.prepare` first.

    Args:
        cluster: `local` for an embedded Ray, `auto` for a cluster on this machine, or `host:port`.
        cpus: CPUs of an embedded Ray; None for all CPUs of this machine.
        start_timeout: Seconds in which an embedded Ray must start, or a cluster must accept this process.

    Raises:
        ClusterError: The cluster cannot be reached, or this process is a fork of a connected one.
        UsageError: This process is connected to another cluster, or the address is invalid.
    """
    _refuse_fork()
    ends_at = time.monotonic() + start_timeout
    if not _lock.acquire(timeout=start_timeout):
        raise _timeout_error(start_timeout)
    try:
        if ray.is_initialized() and not _starts:
            _check_same(cluster)
            return
        # Import them while this process waits for others, so that the first actor does not wait for it.
        threading.Thread(target=import_all, name="imports", daemon=True).start()
        if cluster == "local":
            _start(cpus, start_timeout, ends_at)
        else:
            _join(cluster, start_timeout, ends_at)
        # A start left by a caller that timed out may belong to another cluster.
        _check_same(cluster)
    finally:
        _lock.release()


def is_connecting() -> bool:
    """Return whether a thread of this process is connecting it."""
    return _lock.locked() or bool(_starts)


def _refuse_fork() -> None:
    """Refuse a process that is a fork of a connected one.

    It has its parent's sockets but none of its threads: calls would never return, and its exit would end the parent's
    connection.

    Raises:
        ClusterError: This process is such a fork.
    """
    parent = connected_parent()
    if parent is None and ray.is_initialized() and not _is_listening():
        parent = os.getppid()
    if parent is not None:
        raise ClusterError(
            f"this process was forked from process {parent}, which is connected to Ray, and Ray works only in "
            "that one; start it with multiprocessing.get_context('spawn') or subprocess, or use cluster='inline'."
        )


def _is_listening() -> bool:
    """Return whether Ray's error listener thread is alive; forks that this module did not notice lack it."""
    thread = getattr(ray._private.worker.global_worker, "listener_thread", None)
    return thread is None or thread.is_alive()


def address() -> str:
    """Return the address of the connected cluster as `host:port`."""
    found: str = ray.get_runtime_context().gcs_address
    return found


def _check_same(cluster: str) -> None:
    connected = ray.get_runtime_context().gcs_address
    if cluster not in ("local", "auto") and _canonical_address(cluster) != _canonical_address(connected):
        raise UsageError(f"this process is connected to the Ray cluster at {connected} already, not to {cluster}")


def _canonical_address(address: str) -> tuple[str, str]:
    """Return host and port in a form in which two names of one address on this machine are equal."""
    host, _, port = address.rpartition(":")
    try:
        host = socket.gethostbyname(host.strip("[]"))
    except OSError:
        return host, port
    return "this machine" if host.startswith("127.") or host == ray.util.get_node_ip_address() else host, port


def _start(cpus: int | None, start_timeout: float, ends_at: float) -> None:
    """Start an embedded Ray, or wait for a start left by a caller that was interrupted or timed out.

    Linux kills Ray's processes when the thread that started them ends, so that thread never ends. On a busy machine Ray
    may give up before `start_timeout`; then another attempt follows.
    """
    error: BaseException | None = None
    for _ in range(_MAX_ATTEMPTS):
        began_at = time.monotonic()
        if not _starts:
            _starts.append(call_in_lasting_thread(lambda: _init(cpus)))
        try:
            error = _wait_for(_starts[0], ends_at)
        except TimeoutError:
            raise _timeout_error(start_timeout) from None
        if error is None:
            _exit_on_sigterm()
            return
        if 2 * time.monotonic() - began_at > ends_at:
            break
    # Ray raises a plain Exception if the machine is too busy to start it in time.
    reason = "" if error is None else f": {_first_line(error)}"
    raise ClusterError(f"Ray could not be started on this machine{reason}.") from error


def _wait_for(start: "Future[None]", ends_at: float) -> BaseException | None:
    """Return the error of a start; None if it succeeded.

    Raises:
        TimeoutError: It is still pending.
    """
    error = start.exception(max(0.0, ends_at - time.monotonic()))
    _starts.remove(start)
    return error


def _timeout_error(start_timeout: float) -> ClusterError:
    return ClusterError(
        f"Ray could not be started on this machine within {start_timeout:g} s; free resources, or raise start_timeout."
    )


def _init(cpus: int | None) -> None:
    folder = private_folder() / "ray"
    try:
        with _fewer_processes(folder):
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                logging_level=logging.ERROR,
                # If the program itself connects at the same moment, its connection is used.
                ignore_reinit_error=True,
                _temp_dir=str(folder),
            )
    except BaseException as error:
        _end_failed_node(error)
        _clean_up(folder)
        raise
    if _is_own(folder):
        # Registered after Ray's exit handler, so it runs before it.
        atexit.register(_shut_down, address())


@contextlib.contextmanager
def _fewer_processes(folder: Path) -> Iterator[None]:
    """Let the Ray that keeps its files in a folder start neither autoscaler nor dashboard server.

    One machine needs neither, and each of them is a Python process that imports Ray, which takes seconds. Ray has no
    public option for it. A Ray that the program itself starts at the same moment is not changed.
    """
    methods: Any = Node  # assigned to below
    start_monitor, start_api_server = (getattr(methods, name, None) for name in ("start_monitor", "start_api_server"))
    if start_monitor is None or start_api_server is None:  # another version of Ray
        yield
        return

    def maybe_start_monitor(node: Node) -> None:
        if Path(node.get_temp_dir_path()) != folder:
            start_monitor(node)

    def maybe_start_api_server(node: Node, **options: object) -> None:
        if Path(node.get_temp_dir_path()) == folder:
            node._webui_url = ""
        else:
            start_api_server(node, **options)

    methods.start_monitor, methods.start_api_server = maybe_start_monitor, maybe_start_api_server
    try:
        yield
    finally:
        methods.start_monitor, methods.start_api_server = start_monitor, start_api_server


def _end_pending_start() -> None:
    """Wait at exit for a start that Ctrl-C interrupted, so that Ray's exit handler ends all processes of that start.

    Otherwise the start would continue while this process exits, and leave files in a folder that is removed already.
    """
    if connected_parent() is not None:
        return
    ignore_repeats(_EXIT_SECONDS)  # Ray's exit handler follows, even if no start succeeded
    if _starts:
        try:
            _starts[0].exception(_PENDING_START_SECONDS)
        except (TimeoutError, KeyboardInterrupt):
            _clean_up(private_folder() / "ray")


# Registered after Ray's exit handler, so it runs before it.
atexit.register(_end_pending_start)


def _is_own(folder: Path) -> bool:
    """Return whether this process has a Ray that keeps its files in a folder."""
    node = ray._private.worker._global_node
    return node is not None and Path(node.get_temp_dir_path()) == folder


def _end_failed_node(error: BaseException) -> None:
    """End the processes of a node whose constructor raised; only the frames of the error refer to it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            with contextlib.suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


def _clean_up(folder: Path) -> None:
    """End everything that a failed start has left, so that the next one starts clean."""
    if _is_own(folder):
        with contextlib.suppress(Exception):
            ray.shutdown()
    for process_id in list(_children_of(folder)):
        with contextlib.suppress(OSError):
            os.kill(process_id, signal.SIGKILL)
            os.waitpid(process_id, 0)


def _children_of(folder: Path) -> Iterator[int]:
    """Yield the child processes of this one whose command line contains a folder (Linux)."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent_id = read_process_stat(int(entry.name)).parent_id
            if parent_id == os.getpid() and bytes(folder) in (entry / "cmdline").read_bytes():
                yield int(entry.name)


def _exit_on_sigterm() -> None:
    """Let SIGTERM end this process in order, unless the program has its own handler.

    Ray does that itself if the main thread starts it.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))


def _shut_down(started_address: str) -> None:
    """End the embedded Ray at once, unless a worker has printed something.

    Ray's own shutdown waits 0.5 s, so that the driver shows the workers' output.
    """
    if connected_parent() is not None:
        return
    ignore_repeats(_EXIT_SECONDS)  # an interrupted shutdown leaves processes
    if (
        ray.is_initialized()
        and address() == started_address
        and not has_printed(private_folder() / "ray/session_latest/logs")
    ):
        ray.shutdown()


def has_printed(logs: Path) -> bool:
    """Return whether a worker's log files contain more than Ray's own markers."""
    for path in logs.glob("worker-*"):
        with path.open("rb") as lines:
            if not all(line.startswith(_LOG_MARKERS) for line in lines):
                return True
    return False


def _join(address: str, start_timeout: float, ends_at: float) -> None:
    where = "on this machine" if address == "auto" else f"at {address}"
    try:
        # For `auto`, Ray may find a stale address if a node outlives its head, and would then retry it for minutes. Ray
        # has no public function that returns the address.
        _check_answers(canonicalize_bootstrap_address("auto") if address == "auto" else address)
        if not _starts:
            # In its own thread: Ray accepts a driver only when it has a worker for it, and waits without limit.
            _starts.append(call_in_lasting_thread(lambda: _init_at(address)))
        error = _wait_for(_starts[0], ends_at)
        if error is not None:
            raise error
    except UsageError:
        raise
    except TimeoutError:
        raise ClusterError(
            f"the Ray cluster {where} has not accepted this process within {start_timeout:g} s; check whether "
            "its nodes can start workers (`ray status`), or raise start_timeout."
        ) from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster could be reached {where} ({_first_line(error)}); "
            "start one with `ray start --head`, set RAY_AUTH_TOKEN if it requires a token, or use cluster='local'."
        ) from error
    _exit_on_sigterm()


def _init_at(address: str) -> None:
    ray.init(address=address, logging_level=logging.ERROR, ignore_reinit_error=True)


def _check_answers(address: str | None) -> None:
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"cluster {address!r} is not inline, local, auto or host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClusterError(
            f"nothing answers at {address} ({reason}); is the cluster up (`ray status`), and is that its GCS port?"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
