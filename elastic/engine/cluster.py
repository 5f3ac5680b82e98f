"""Which cluster a step runs on, and the transport that leads there."""

from collections.abc import Mapping

from elastic.core.errors import UsageError
from elastic.stages.inline_transport import InlineTransport
from elastic.stages.ray_environment import prepare
from elastic.stages.transport import Limits, Transport


def cluster_of(named: str | None, environment: Mapping[str, str]) -> str:
    """Return the cluster to use: the one that was named, else the one at RAY_ADDRESS, else `local`."""
    return named or environment.get("RAY_ADDRESS") or "local"


def transport_of(cluster: str, limits: Limits) -> Transport:
    """Return a transport to a cluster; connects to it.

    Raises:
        UsageError: `cluster` is neither `inline`, `local`, `auto` nor `host:port`.
        ClusterError: It cannot be reached.
    """
    if cluster == "inline":
        return InlineTransport()
    if cluster not in ("local", "auto") and not _is_address(cluster):
        raise UsageError(f"cluster {cluster!r} is not inline, local, auto or host:port.")
    prepare(cluster)
    # Imported here because Ray takes a second to import, and reads its environment while it is imported.
    from elastic.stages.ray_transport import RayTransport

    return RayTransport(cluster, limits)


def _is_address(cluster: str) -> bool:
    host, _, port = cluster.rpartition(":")
    return bool(host) and "/" not in host and port.isdigit() and 0 < int(port) < 65_536
