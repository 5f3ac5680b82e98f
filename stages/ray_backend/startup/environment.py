"""The environment that Ray reads while it is imported: set before that, and without importing it."""

import atexit
import os
import secrets
import sys
from pathlib import Path

from elastic.stages.ray_backend.startup.owned_folder import make_owned_folder, remove_owned_folder


def prepare(cluster: str) -> None:
    """Set what Ray should find in the environment; what the user has set stays.

    It comes before `import ray`; a program that imported Ray first has the Ray that it asked for.

    For an embedded Ray: a token of its own, so that nobody else on the machine can use it, no network interface but
    loopback, no usage statistics. For a cluster at an address: the user's token if there is one, which Ray 2.60
    takes up by itself for `auto` only; where the cluster asks for none it does no harm.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" in sys.modules:
        # The program has imported Ray by itself: it has read its environment, and would not understand a change.
        return
    if cluster != "local":
        if _has_token():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        return
    # Ray 2.60 listens on loopback alone only when it is told that this is no machine for clusters.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "RAY_AUTH_MODE" not in os.environ or _has_token_of_another_process():
        token = private_folder() / _TOKEN
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        os.environ.update({"RAY_AUTH_MODE": "token", _TOKEN_PATH: str(token)})


def private_folder() -> Path:
    """Return a folder that only this user can read, for Ray's files; it goes when this process ends.

    Ray makes its own folders readable by everybody.
    """
    if not _folders:
        folder = make_owned_folder()
        # Registered before Ray registers its own end, so it runs after it.
        atexit.register(remove_owned_folder, folder)
        _folders.append(folder)
    return _folders[0]


_folders: list[Path] = []

#: Its name in the private folder, and the variable of the environment that leads Ray to it.
_TOKEN, _TOKEN_PATH = "token", "RAY_AUTH_TOKEN_PATH"


def _has_token() -> bool:
    named = os.environ.get(_TOKEN_PATH)
    path = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or path.is_file()


def _has_token_of_another_process() -> bool:
    """Tell whether the environment names the token of a process that has started this one, and may end before it."""
    path = Path(os.environ.get(_TOKEN_PATH, ""))
    return path.name == _TOKEN and path.parent.name.startswith("elastic-") and path.parent not in _folders


#: The process that was connected to Ray when this one was forked from it; its connection must not be used here.
_connected_parent: int | None = None


def connected_parent() -> int | None:
    """Return the id of the process that this one was forked from, if that one was connected to Ray; else None."""
    return _connected_parent


def _after_fork() -> None:
    global _connected_parent
    _folders.clear()
    ray = sys.modules.get("ray")
    cluster = sys.modules.get("elastic.stages.ray_backend.startup.connection")
    is_initialized = getattr(ray, "is_initialized", None)
    if (is_initialized is not None and is_initialized()) or (cluster is not None and cluster.is_connecting()):
        _connected_parent = os.getppid()
        # At the end of this process Ray would wait for threads that only the parent has, and end the parent's Ray.
        atexit.unregister(getattr(ray, "shutdown", _after_fork))


os.register_at_fork(after_in_child=_after_fork)
