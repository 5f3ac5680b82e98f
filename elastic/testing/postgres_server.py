"""PostgreSQL server for tests."""

import signal
from pathlib import Path

from elastic.testing.database_server import ServerProcess, find_program, program

_FOLDERS = "usr/lib/postgresql/*/bin"


class PostgresServer(ServerProcess):
    """Server process of PostgreSQL, from the path or from Debian's package; it starts in about a second."""

    name = "PostgreSQL"
    ready = b"ready to accept connections"
    account = "postgres"
    scheme = "postgresql+psycopg"
    stop_signal = signal.SIGINT  # fast shutdown: disconnects clients
    database = "postgres"

    @classmethod
    def missing(cls) -> str | None:
        missing = [name for name in ("initdb", "postgres") if find_program(name, _FOLDERS) is None]
        if missing:
            return f"PostgreSQL cannot be started: {' and '.join(missing)} cannot be found on this machine."
        return None

    def prepare(self, folder: Path) -> None:
        password = folder / "password"
        password.touch(0o600)
        password.write_text(self.password)
        self.give_to_account(password)
        self.call(
            program("initdb", _FOLDERS), "-D", folder / "data", "-U", self.login, "-A", "scram-sha-256",
            f"--pwfile={password}", "-E", "UTF8", "--no-locale", "-N",
        )  # fmt: skip

    def command(self, folder: Path) -> list[str | Path]:
        # Without fsync: the system keeps the writes of a killed server, and no test cuts the power.
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
