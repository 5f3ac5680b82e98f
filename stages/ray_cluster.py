"""Connecting to Ray: embedded, or a cluster that runs already."""

import atexit
import logging
import socket
import threading
from pathlib import Path

import ray
from ray._private.services import canonicalize_bootstrap_address

from elastic.core.errors import ClusterError, UsageError
from elastic.stages.ray_environment import private_folder
from elastic.stages.ray_serializers import import_all

#: Seconds in which a cluster's address must answer.
_ANSWER_SECONDS = 5.0

#: What Ray 2.60 writes into a worker's log files by itself: lines that begin so.
_MARKS = (b":job_id:", b":actor_name:", b":task_name:")


def connect(cluster: str, *, cpus: int | None = None) -> None:
    """Connect this process to Ray, unless it is connected already.

    An embedded Ray stays up for later runs of this process and ends with it. `ray_environment.prepare` comes first.

    Args:
        cluster: `local` for an embedded Ray, `auto` for a cluster on this machine, or `host:port`.
        cpus: CPUs of an embedded Ray; None for all of this machine.

    Raises:
        ClusterError: The cluster cannot be reached.
        UsageError: This process is connected to another cluster, or the address is none.
    """
    if ray.is_initialized():
        _check_same(cluster)
        return
    # Before the first actor it would take half as long as the actor; now this process waits for others.
    threading.Thread(target=import_all, name="imports", daemon=True).start()
    if cluster == "local":
        _start(cpus)
    else:
        _join(cluster)


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


def _start(cpus: int | None) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            logging_level=logging.ERROR,
            _temp_dir=str(private_folder() / "ray"),
        )
    except Exception as error:
        # Ray raises a plain Exception where a machine is too busy to start it in time.
        raise ClusterError(f"Ray could not be started on this machine: {_first_line(error)}") from error
    # Registered after Ray has registered its own end, so it runs before it.
    atexit.register(_end, address())


def _end(started: str) -> None:
    """End the embedded Ray at once, unless a worker has printed something.

    Ray's own end waits for half a second, so that the driver shows what workers have printed.
    """
    if ray.is_initialized() and address() == started and not has_printed(private_folder() / "ray/session_latest/logs"):
        ray.shutdown()


def has_printed(logs: Path) -> bool:
    """Tell whether a worker has written more into its log files than Ray's own marks."""
    for path in logs.glob("worker-*"):
        with path.open("rb") as lines:
            if not all(line.startswith(_MARKS) for line in lines):
                return True
    return False


def _join(address: str) -> None:
    where = "on this machine" if address == "auto" else f"at {address}"
    try:
        # For `auto`, Ray may find an address that nobody listens at any more, when a node outlives its head, and would
        # then ask it for minutes. It has no public function that tells the address.
        _check_answers(canonicalize_bootstrap_address("auto") if address == "auto" else address)
        ray.init(address=address, logging_level=logging.ERROR)
    except UsageError:
        raise
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster could be reached {where} ({_first_line(error)}); "
            "start one with `ray start --head`, set RAY_AUTH_TOKEN if it wants a token, or use cluster='local'."
        ) from error


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
