"""Cluster selection: the cluster of a step, its transport, and the faults that it supports."""

from collections import Counter
from collections.abc import Mapping

from elastic.core.errors import UsageError
from elastic.core.policies.chaos import CARRIED, Chaos, Fault
from elastic.stages.ray_backend.startup.environment import prepare
from elastic.stages.transport.chaos import ChaosTransport
from elastic.stages.transport.inline import InlineTransport
from elastic.stages.transport.transport import Limits, Transport


def cluster_of(named: str | None, environment: Mapping[str, str]) -> str:
    """Return the cluster to use: `named`, else that at RAY_ADDRESS, else `local`."""
    return named or environment.get("RAY_ADDRESS") or "local"


def transport_of(cluster: str, limits: Limits) -> Transport:
    """Connect to a cluster and return the transport.

    Raises:
        UsageError: `cluster` is neither `inline`, `local`, `auto` nor `host:port`.
        ClusterError: The cluster cannot be reached.
    """
    if cluster == "inline":
        return InlineTransport()
    if cluster not in ("local", "auto") and not _is_address(cluster):
        raise UsageError(f"cluster {cluster!r} is not inline, local, auto or host:port.")
    prepare(cluster)
    # Imported here because Ray takes a second to import, and reads its environment while it is imported.
    from elastic.stages.ray_backend.transport import RayTransport

    return RayTransport(cluster, limits)


def address_of(cluster: str) -> str:
    """Return the address of a cluster for other processes of this machine; start an embedded Ray for `local`.

    Raises:
        ClusterError: Ray cannot be started.
    """
    if cluster != "local":
        return cluster
    prepare(cluster)
    from elastic.stages.ray_backend.startup.connection import address, connect

    connect(cluster)
    return address()


def check_chaos(chaos: Chaos, cluster: str) -> None:
    """Check that a run of this process on a cluster supports all faults of a chaos.

    Raises:
        UsageError: A fault is not supported; the message names the first one.
    """
    for fault in chaos.spirits:
        if fault is Fault.KILL_MASTER:
            raise UsageError(
                "fault kill-master kills the process that runs the flow; use `elastic chaos`, which starts another one."
            )
        if fault not in faults_on(cluster):
            needed = "other nodes" if fault is Fault.KILL_NODE else "worker processes"
            raise UsageError(
                f"fault {fault} needs {needed}, but cluster={cluster!r} has none; leave it out, or use another "
                f"cluster ({'host:port' if fault is Fault.KILL_NODE else 'local'})."
            )


def faults_on(cluster: str) -> tuple[Fault, ...]:
    """Return the faults that a kind of cluster supports, whether or not it has other nodes."""
    if cluster == "inline":
        return (*CARRIED, Fault.KILL_MASTER)
    return tuple(fault for fault in Fault if fault is not Fault.KILL_NODE or cluster != "local")


def with_chaos(transport: Transport, chaos: Chaos | None, counters: Counter[str]) -> Transport:
    """Return a transport that injects faults, and counts them in `counters`."""
    return transport if chaos is None else ChaosTransport(transport, chaos, counters)


def _is_address(cluster: str) -> bool:
    host, _, port = cluster.rpartition(":")
    return bool(host) and "/" not in host and port.isdigit() and 0 < int(port) < 65_536
