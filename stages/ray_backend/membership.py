"""Membership of a Ray cluster: its live nodes, and the time since its head last answered."""

import contextlib
import os
import socket
import sys
import threading
from typing import Any

import ray

from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.errors import EXIT_SUSPENDED, ClusterLostError
from elastic.stages.ray_backend.startup.connection import address

_POLL_SECONDS = 1.0

#: Seconds without an answer of the head. Ray ends a process that has not reached the head for 60 s, with exit code 1
#: and without a message about the run. The run is suspended before that; a process that hangs in a call to the head
#: ends itself with Elastic's exit code and message.
_MAX_SILENCE_SECONDS = 40.0
_EXIT_AFTER_SECONDS = 50.0


class ClusterMembership:
    """Cache of the cluster's nodes, refreshed by a thread because a call to a dead head never returns.

    Args:
        heartbeat: Decides how long the head may be silent. The limit is 40 seconds at most, because Ray ends this
            process after 60.
    """

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._address = address()
        self._nodes: list[dict[str, Any]] = ray.nodes()
        #: Seconds without an answer. The thread counts them itself, so the time of a suspended process does not count.
        self._silence = 0.0
        self._closed = threading.Event()
        for task in (self._refresh_nodes, self._count_silence):
            threading.Thread(target=task, name="elastic-membership", daemon=True).start()

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes that are alive and have CPUs.

        Raises:
            ClusterLostError: The head has not answered for too long.
        """
        if self._silence > _MAX_SILENCE_SECONDS or self._heartbeat.is_lost("head", self._silence):
            raise ClusterLostError(self._address, self._silence)
        return [node for node in self._nodes if node["Alive"] and cpus_of(node) > 0]

    def head_answers(self) -> bool:
        """Return whether the head accepts connections; without one, the start of an actor would never return."""
        host, _, port = self._address.rpartition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host.strip("[]"), int(port)), _POLL_SECONDS).close()
            return True
        return False

    def close(self) -> None:
        """Stop the threads."""
        self._closed.set()

    def _refresh_nodes(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            try:
                self._nodes = ray.nodes()
            except Exception:  # noqa: S112 - the head did not answer, for any reason; `nodes` checks for how long
                continue
            self._silence = 0.0

    def _count_silence(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            self._silence += _POLL_SECONDS
            if self._silence > _EXIT_AFTER_SECONDS:
                lost = ClusterLostError(self._address, self._silence)
                sys.stderr.write(f"error: {lost}, and this process hangs in a call to it and exits; resume the run.\n")
                sys.stderr.flush()
                os._exit(EXIT_SUSPENDED)


def cpus_of(node: dict[str, Any]) -> int:
    """Return the number of CPUs of a node."""
    return int(node["Resources"].get("CPU", 0))
