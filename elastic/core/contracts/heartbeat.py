"""The heartbeat: when a process that says nothing counts as lost."""

from elastic.core.errors import UsageError


class Heartbeat:
    """Decides about silence; derive from it, or give other numbers, to have your own.

    Every worker process and every station of another node gives a sign of life once a second. A worker that is busy
    gives it too, unless one of its functions never lets go of the interpreter; so the time is not too short.

    Args:
        timeout: Seconds of silence after which a process counts as lost and is ended. Ray's own detection of a
            frozen node takes about a minute.

    Raises:
        UsageError: `timeout` is no number above 0.
    """

    def __init__(self, timeout: float = 30.0) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            raise UsageError(f"Heartbeat(timeout={timeout!r}): the timeout must be a number of seconds above 0.")
        self.timeout = timeout

    def is_lost(self, process: str, silence: float) -> bool:
        """Say whether a process that has been silent for so many seconds is lost.

        Called about once a second for each process, on the node where it runs, and for stations on the master; so
        it must be possible to pickle this object.

        Args:
            process: `worker`, `station`, or `head` for the head of the cluster, without which the run is suspended.
            silence: Seconds since its last sign of life.
        """
        return silence > self.timeout
