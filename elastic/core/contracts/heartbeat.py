"""Heartbeat policy: when a silent process counts as lost."""

from elastic.core.errors import UsageError


class Heartbeat:
    """Policy that decides whether a silent process is lost; subclass it to define your own.

    Every worker process, and every station of another node, sends a heartbeat once a second. A busy worker sends it
    too, unless one of its functions never releases the interpreter lock; so the timeout must not be too short.

    Args:
        timeout: Seconds of silence after which a process counts as lost and is killed. Ray's own detection of a
            frozen node takes about a minute.

    Raises:
        UsageError: `timeout` is not a number above 0.
    """

    def __init__(self, timeout: float = 30.0) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            raise UsageError(f"Heartbeat(timeout={timeout!r}): the timeout must be a number of seconds above 0.")
        self.timeout = timeout

    def is_lost(self, process: str, silence: float) -> bool:
        """Return True if a process that has been silent for `silence` seconds is lost.

        Called about once a second for each process, on its node, and for stations on the master; so this object must
        be picklable.

        Args:
            process: `worker`, `station`, or `head` for the head of the cluster, without which the run is suspended.
            silence: Seconds since its last heartbeat.
        """
        return silence > self.timeout
