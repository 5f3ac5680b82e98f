"""The environment that Ray reads while it is imported: set before that, and without importing it."""

import atexit
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

_PREFIX = "elastic-"


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
    if "RAY_AUTH_MODE" not in os.environ:
        token = private_folder() / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)})


def private_folder() -> Path:
    """Return a folder that only this user can read, for Ray's files; it goes when this process ends.

    Ray makes its own folders readable by everybody. The path is short because Ray puts sockets below it, and the
    path of a socket may have about 107 characters.
    """
    if not _folders:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Registered before Ray registers its own end, so it runs after it.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _folders.append(folder)
    return _folders[0]


_folders: list[Path] = []


def _has_token() -> bool:
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or path.is_file()
