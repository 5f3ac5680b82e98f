"""A PostgreSQL server of a test's own: in a folder, on a port of the loopback interface, with a password."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "correct horse"


def programs() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`, or None if they are not on this machine."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "pg_ctl").exists()), None)


@contextmanager
def postgres_server(bin_folder: Path) -> Iterator[str]:
    """Yield the URL of a running server, without a password, and stop the server in the end."""
    user = _owner()
    # Not below a folder of pytest, which only its own user can enter.
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "password").write_text(PASSWORD)
        for path in (place, place / "password"):
            os.chown(path, user.pw_uid, user.pw_gid)

        def call(program: str, *arguments: str) -> None:
            environment = {"PATH": os.defpath, "LC_ALL": "C", "HOME": folder}
            done = subprocess.run(
                [bin_folder / program, "-D", place / "data", *arguments],
                user=user.pw_uid if os.geteuid() == 0 else None,
                group=user.pw_gid if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
            assert done.returncode == 0, done.stderr.decode()

        call(
            "initdb", "-U", "elastic", "-A", "scram-sha-256", "--pwfile", "password", "-E", "UTF8", "--no-locale", "-N"
        )
        port = _free_port()
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
        call("pg_ctl", "-w", "-l", str(place / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://elastic@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-w", "-m", "immediate", "stop")


def _owner() -> pwd.struct_passwd:
    """Return the user that the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    names = [user.pw_name for user in pwd.getpwall()]
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
