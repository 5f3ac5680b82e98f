"""A PostgreSQL server for tests."""

import signal
from pathlib import Path

from elastic.testing.database_server import ServerProcess, found_program, program

_FOLDERS = "usr/lib/postgresql/*/bin"


class PostgresServer(ServerProcess):
    """Starts PostgreSQL from the path or from the folders of Debian's package; about a second."""

    name = "PostgreSQL"
    ready = b"ready to accept connections"
    account = "postgres"
    scheme = "postgresql+psycopg"
    stop_signal = signal.SIGINT  # "fast": clients are sent away
    database = "postgres"

    @classmethod
    def missing(cls) -> str | None:
        lacking = [name for name in ("initdb", "postgres") if found_program(name, _FOLDERS) is None]
        if lacking:
            return f"PostgreSQL cannot be started: {' and '.join(lacking)} cannot be found on this machine."
        return None

    def prepare(self, folder: Path) -> None:
        password = folder / "password"
        password.touch(0o600)
        password.write_text(self.password)
        self.give(password)
        self.call(
            program("initdb", _FOLDERS), "-D", folder / "data", "-U", self.login, "-A", "scram-sha-256",
            f"--pwfile={password}", "-E", "UTF8", "--no-locale", "-N",
        )  # fmt: skip

    def command(self, folder: Path) -> list[str | Path]:
        # Without fsync: what a killed server wrote is in the memory of the system, and no test pulls the plug.
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [program("postgres", _FOLDERS), "-D", folder / "data", *options]
