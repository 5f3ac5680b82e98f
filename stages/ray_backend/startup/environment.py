"""Environment variables that Ray reads at its import; they are set before it, without importing Ray."""

import atexit
import contextlib
import os
import secrets
import sys
from pathlib import Path

from elastic.stages.ray_backend.startup.owned_folder import make_owned_folder, remove_owned_folder


def prepare(cluster: str) -> None:
    """Set environment variables for Ray, except those that the user has set.

    Must run before `import ray`. A program that has imported Ray before keeps Ray's own settings.

    For an embedded Ray: a token of its own, so that no other user of the machine can connect; only the loopback
    interface; no usage statistics. For a cluster at an address: the user's token, if there is one. Ray 2.60 uses the
    token by itself only for `auto`; a cluster without tokens ignores it.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" in sys.modules:
        # The program has imported Ray itself; Ray has read its environment and would ignore a change.
        return
    if cluster != "local":
        if _has_token():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        return
    # Ray 2.60 restricts itself to the loopback interface only if this variable forbids clusters.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "RAY_AUTH_MODE" not in os.environ or _has_inherited_token():
        token = private_folder() / _TOKEN
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        os.environ.update({"RAY_AUTH_MODE": "token", _TOKEN_PATH: str(token)})


def private_folder() -> Path:
    """Return a folder for Ray's files that only this user can read; it is removed when this process ends.

    Ray makes its own folders readable by all users.
    """
    if not _folders:
        folder = make_owned_folder()
        # Registered before Ray's exit handler, so it runs after it.
        atexit.register(remove_owned_folder, folder)
        _folders.append(folder)
    return _folders[0]


_folders: list[Path] = []

#: Name of the token file in the private folder, and the environment variable with its path.
_TOKEN, _TOKEN_PATH = "token", "RAY_AUTH_TOKEN_PATH"


def _has_token() -> bool:
    named = os.environ.get(_TOKEN_PATH)
    path = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or path.is_file()


def _has_inherited_token() -> bool:
    """Return whether the environment names the token of a parent process, which may end before this one."""
    path = Path(os.environ.get(_TOKEN_PATH, ""))
    return path.name == _TOKEN and path.parent.name.startswith("elastic-") and path.parent not in _folders


#: Parent that was connected to Ray when it forked this process; this process must not use the connection.
_connected_parent: int | None = None


def connected_parent() -> int | None:
    """Return the id of the parent process if it was connected to Ray when it forked this one, else None."""
    return _connected_parent


def _after_fork() -> None:
    global _connected_parent
    _folders.clear()
    ray = sys.modules.get("ray")
    cluster = sys.modules.get("elastic.stages.ray_backend.startup.connection")
    is_initialized = getattr(ray, "is_initialized", None)
    if (is_initialized is not None and is_initialized()) or (cluster is not None and cluster.is_connecting()):
        _connected_parent = os.getppid()
        # Ray's exit handler would wait for threads that only the parent has, and then end the parent's Ray.
        atexit.unregister(getattr(ray, "shutdown", _after_fork))


os.register_at_fork(after_in_child=_after_fork)


def _restore_interrupt() -> None:
    """Let Python end this process by SIGINT if Ctrl-C ended the program.

    Python forgets an unhandled KeyboardInterrupt, and exits with code 1, if an exit handler executes code from a string
    (https://github.com/python/cpython/blob/main/Python/pythonrun.c, `run_eval_code_obj`). Ray's exit handler imports
    dataclasses, which do that. The same function notes an interrupt that leaves such code.
    """
    if isinstance(getattr(sys, "last_value", None), KeyboardInterrupt) and not hasattr(sys, "ps1"):
        with contextlib.suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102 - a constant


# Registered before Ray's exit handler, so it runs after it.
atexit.register(_restore_interrupt)
