"""The roster: which nodes a Ray cluster has, as its head last told."""

import contextlib
import os
import socket
import sys
import threading
from typing import Any

import ray

from elastic.core.contracts.heartbeat import Heartbeat
from elastic.core.errors import EXIT_SUSPENDED, ClusterLostError
from elastic.stages.ray_backend.connection import address

#: Seconds between two questions.
_PERIOD = 1.0

#: Ray ends a process that has not reached the head for 60 seconds, with exit code 1 and no word about the run. This is
#: before that; and a process that is stuck in a call to the head by then is ended with a code and a word of ours.
_MOST_SILENCE = 40.0
_END_SILENCE = 50.0


class ClusterMembership:
    """Asks for the nodes in a thread of its own, because a question to a head that is gone is not answered at all.

    Args:
        heartbeat: Says how long the head may be silent; it is never waited for longer than 40 seconds, because after
            60 Ray ends this process.
    """

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._address = address()
        self._told: list[dict[str, Any]] = ray.nodes()
        #: seconds without an answer while this process was awake: one that was stopped for a while has not waited
        self._silence = 0.0
        self._closed = threading.Event()
        for task in (self._ask_for_ever, self._watch_for_ever):
            threading.Thread(target=task, name="elastic-roster", daemon=True).start()

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes that are alive and have CPUs.

        Raises:
            ClusterLostError: The head has not answered for too long.
        """
        if self._silence > _MOST_SILENCE or self._heartbeat.is_lost("head", self._silence):
            raise ClusterLostError(self._address, self._silence)
        return [node for node in self._told if node["Alive"] and cpus_of(node) > 0]

    def answers(self) -> bool:
        """Say whether there is a head just now; if not, starting an actor would wait for it without end."""
        host, _, port = self._address.rpartition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host.strip("[]"), int(port)), _PERIOD).close()
            return True
        return False

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()

    def _ask_for_ever(self) -> None:
        while not self._closed.wait(_PERIOD):
            try:
                self._told = ray.nodes()
            except Exception:  # noqa: S112 - whatever it is, the head did not answer; `nodes` sees for how long
                continue
            self._silence = 0.0

    def _watch_for_ever(self) -> None:
        while not self._closed.wait(_PERIOD):
            self._silence += _PERIOD
            if self._silence > _END_SILENCE:
                lost = ClusterLostError(self._address, self._silence)
                sys.stderr.write(f"error: {lost}, and this process waits for it, so it ends; resume the run.\n")
                sys.stderr.flush()
                os._exit(EXIT_SUSPENDED)


def cpus_of(node: dict[str, Any]) -> int:
    """Return the CPUs of a node."""
    return int(node["Resources"].get("CPU", 0))
