"""Connecting to Ray: embedded, or a cluster that runs already."""

import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import ray
from ray._private.services import canonicalize_bootstrap_address

from elastic.core.errors import ClusterError, UsageError
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.core.process_stat import read_process_stat
from elastic.stages.ray_backend.startup.environment import connected_parent, private_folder
from elastic.stages.ray_backend.startup.permanent_thread import call_in_lasting_thread
from elastic.stages.ray_backend.startup.serializers import import_all

#: Seconds in which a cluster's address must answer.
_ANSWER_SECONDS = 5.0

#: How often an embedded Ray is started, at most, before it counts as one that cannot be.
_TRIES = 3

#: What Ray 2.60 writes into a worker's log files by itself: lines that begin so.
_MARKS = (b":job_id:", b":actor_name:", b":task_name:")


#: Guards Ray's connection of this process: only one thread at a time may make it.
_lock = threading.Lock()

#: The start of an embedded Ray, or the way into a cluster, that has not come to its end or whose end nobody has seen.
_starts: "list[Future[None]]" = []


def connect(cluster: str, *, cpus: int | None = None, start_timeout: float = EngineTuning().start_timeout) -> None:
    """Connect this process to Ray, unless it is connected already; may be called from any thread.

    An embedded Ray stays up for later runs of this process and ends with it. `ray_environment.prepare` comes first.

    Args:
        cluster: `local` for an embedded Ray, `auto` for a cluster on this machine, or `host:port`.
        cpus: CPUs of an embedded Ray; None for all of this machine.
        start_timeout: Seconds in which an embedded Ray must have started, or a cluster have taken this process in.

    Raises:
        ClusterError: The cluster cannot be reached, or this process was forked from one that is connected.
        UsageError: This process is connected to another cluster, or the address is none.
    """
    _refuse_fork()
    ends_at = time.monotonic() + start_timeout
    if not _lock.acquire(timeout=start_timeout):
        raise _slow(start_timeout)
    try:
        if ray.is_initialized() and not _starts:
            _check_same(cluster)
            return
        # Before the first actor it would take half as long as the actor; now this process waits for others.
        threading.Thread(target=import_all, name="imports", daemon=True).start()
        if cluster == "local":
            _start(cpus, start_timeout, ends_at)
        else:
            _join(cluster, start_timeout, ends_at)
        # What an impatient caller has left may lead to another cluster.
        _check_same(cluster)
    finally:
        _lock.release()


def is_connecting() -> bool:
    """Tell whether a thread of this process is about to connect it."""
    return _lock.locked() or bool(_starts)


def _refuse_fork() -> None:
    """Refuse a process that has come into being by a fork of one that is connected.

    It has the sockets of its parent and none of its threads: calls would wait without end, and its own end would end
    the connection of its parent.

    Raises:
        ClusterError: It is such a process.
    """
    parent = connected_parent()
    if parent is None and ray.is_initialized() and not _is_listening():
        parent = os.getppid()
    if parent is not None:
        raise ClusterError(
            f"this process was forked from process {parent}, which is connected to Ray, and Ray works in that one "
            "only; start it with multiprocessing.get_context('spawn') or subprocess, or use cluster='inline'."
        )


def _is_listening() -> bool:
    """Tell whether the thread in which Ray hears of errors is alive; forks that this module has not seen lack it."""
    thread = getattr(ray._private.worker.global_worker, "listener_thread", None)
    return thread is None or thread.is_alive()


def address() -> str:
    """Return the address of the cluster that this process is connected to, as `host:port`."""
    found: str = ray.get_runtime_context().gcs_address
    return found


def _check_same(cluster: str) -> None:
    connected = ray.get_runtime_context().gcs_address
    if cluster not in ("local", "auto") and _spot(cluster) != _spot(connected):
        raise UsageError(f"this process is connected to the Ray cluster at {connected} already, not to {cluster}")


def _spot(address: str) -> tuple[str, str]:
    """Return host and port in a form in which two names of one place on this machine are equal."""
    host, _, port = address.rpartition(":")
    try:
        host = socket.gethostbyname(host.strip("[]"))
    except OSError:
        return host, port
    return "this machine" if host.startswith("127.") or host == ray.util.get_node_ip_address() else host, port


def _start(cpus: int | None, start_timeout: float, ends_at: float) -> None:
    """Start an embedded Ray, or wait for a start that an interrupted or impatient caller has left.

    Linux ends Ray's processes with the thread that starts them, so it is one that lasts. On a busy machine Ray may give
    up before `start_timeout`; then there is time for another try.
    """
    error: BaseException | None = None
    for _ in range(_TRIES):
        began_at = time.monotonic()
        if not _starts:
            _starts.append(call_in_lasting_thread(lambda: _init(cpus)))
        try:
            error = _awaited(_starts[0], ends_at)
        except TimeoutError:
            raise _slow(start_timeout) from None
        if error is None:
            _end_on_sigterm()
            return
        if 2 * time.monotonic() - began_at > ends_at:
            break
    # Ray raises a plain Exception where a machine is too busy to start it in time.
    said = "" if error is None else f": {_first_line(error)}"
    raise ClusterError(f"Ray could not be started on this machine{said}.") from error


def _awaited(start: "Future[None]", ends_at: float) -> BaseException | None:
    """Return the error of a start; None when it succeeded.

    Raises:
        TimeoutError: It has not come to its end.
    """
    error = start.exception(max(0.0, ends_at - time.monotonic()))
    _starts.remove(start)
    return error


def _slow(start_timeout: float) -> ClusterError:
    return ClusterError(
        f"Ray could not be started on this machine within {start_timeout:g} s; free some of it, or wait longer with "
        "start_timeout."
    )


def _init(cpus: int | None) -> None:
    folder = private_folder() / "ray"
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            logging_level=logging.ERROR,
            # Where the program itself connects at this moment, its connection is the one that is used.
            ignore_reinit_error=True,
            _temp_dir=str(folder),
        )
    except BaseException:
        _clear(folder)
        raise
    if _is_own(folder):
        # Registered after Ray has registered its own end, so it runs before it.
        atexit.register(_end, address())


def _is_own(folder: Path) -> bool:
    """Tell whether the Ray of this process, if there is one, keeps its files in a folder."""
    node = ray._private.worker._global_node
    return node is not None and Path(node.get_temp_dir_path()) == folder


def _clear(folder: Path) -> None:
    """End what a start that failed has left behind, so that the next one begins anew."""
    if _is_own(folder):
        with contextlib.suppress(Exception):
            ray.shutdown()
    for process_id in list(_children_of(folder)):
        with contextlib.suppress(OSError):
            os.kill(process_id, signal.SIGKILL)
            os.waitpid(process_id, 0)


def _children_of(folder: Path) -> Iterator[int]:
    """Yield the processes that this one has started and whose commands name a folder (Linux)."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent_id = read_process_stat(int(entry.name)).parent_id
            if parent_id == os.getpid() and bytes(folder) in (entry / "cmdline").read_bytes():
                yield int(entry.name)


def _end_on_sigterm() -> None:
    """Let SIGTERM end this process in order, unless the program has a way of its own.

    Ray does so where it is started by the main thread.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))


def _end(started: str) -> None:
    """End the embedded Ray at once, unless a worker has printed something.

    Ray's own end waits for half a second, so that the driver shows what workers have printed.
    """
    if connected_parent() is not None:
        return
    if ray.is_initialized() and address() == started and not has_printed(private_folder() / "ray/session_latest/logs"):
        ray.shutdown()


def has_printed(logs: Path) -> bool:
    """Tell whether a worker has written more into its log files than Ray's own marks."""
    for path in logs.glob("worker-*"):
        with path.open("rb") as lines:
            if not all(line.startswith(_MARKS) for line in lines):
                return True
    return False


def _join(address: str, start_timeout: float, ends_at: float) -> None:
    where = "on this machine" if address == "auto" else f"at {address}"
    try:
        # For `auto`, Ray may find an address that nobody listens at any more, when a node outlives its head, and would
        # then ask it for minutes. It has no public function that tells the address.
        _check_answers(canonicalize_bootstrap_address("auto") if address == "auto" else address)
        if not _starts:
            # In a thread of its own: Ray takes a driver in when it has a worker for it, and waits for that without end.
            _starts.append(call_in_lasting_thread(lambda: _init_at(address)))
        error = _awaited(_starts[0], ends_at)
        if error is not None:
            raise error
    except UsageError:
        raise
    except TimeoutError:
        raise ClusterError(
            f"the Ray cluster {where} has not taken this process in within {start_timeout:g} s; see whether its nodes "
            "can start workers (`ray status`), or wait longer with start_timeout."
        ) from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster could be reached {where} ({_first_line(error)}); "
            "start one with `ray start --head`, set RAY_AUTH_TOKEN if it wants a token, or use cluster='local'."
        ) from error
    _end_on_sigterm()


def _init_at(address: str) -> None:
    ray.init(address=address, logging_level=logging.ERROR, ignore_reinit_error=True)


def _check_answers(address: str | None) -> None:
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"cluster {address!r} is not inline, local, auto or host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClusterError(
            f"nothing answers at {address} ({reason}); is the cluster up (`ray status`), and is that its GCS port?"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
