"""Reasons for calls to Ray actors that ended without a reply."""

import errno

import ray

#: Errors of the operating system that may disappear by themselves.
_TRANSIENT_ERRNOS = (errno.EAGAIN, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC)


def describe_ray_error(error: BaseException) -> str:
    """Return in a few words why a call had no reply."""
    kind = type(error).__name__.removesuffix("Error")
    words = {"ActorDied": "its process died", "ActorUnavailable": "its process did not answer"}
    return words.get(kind, f"its call ended with {type(error).__name__}")


def startup_error(error: Exception) -> str | None:
    """Return the exception that an actor raised at its start and would raise again.

    None means that the process ended without an exception or for a transient reason, so another start may succeed.
    """
    if not isinstance(error, ray.exceptions.RayTaskError | ray.exceptions.ActorDiedError):
        return None
    cause = getattr(error, "cause", None)
    if isinstance(cause, ray.exceptions.RayError | MemoryError) or getattr(cause, "errno", None) in _TRANSIENT_ERRNOS:
        return None
    if cause is not None:
        message = f"{type(cause).__name__}: {cause}".splitlines()[0]
    else:
        lines = [line.strip() for line in str(error).splitlines() if "Error: " in line and "ray." not in line]
        message = lines[-1] if lines else ""
    return f"a worker could not start there ({message.rstrip('.')})" if message else None
