"""MariaDB server for tests."""

from pathlib import Path

from elastic.testing.database_server import ServerProcess, find_program, program


class MariaDbServer(ServerProcess):
    """Server process of MariaDB, from Debian's package `mariadb-server`; it starts in one or two seconds."""

    name = "MariaDB"
    ready = b"ready for connections"
    account = "mysql"
    scheme = "mysql+pymysql"
    # Without TLS, for which the driver would read the machine's certificates at each connection, for 50 ms.
    settings = "?ssl_disabled=true"

    @classmethod
    def missing(cls) -> str | None:
        missing = [name for name in ("mariadbd", "mariadb-install-db") if find_program(name, "") is None]
        if missing:
            return (
                f"MariaDB cannot be started: {' and '.join(missing)} of Debian's package mariadb-server "
                "cannot be found on this machine."
            )
        return None

    def prepare(self, folder: Path) -> None:
        self.call(
            program("mariadb-install-db"), "--no-defaults", f"--datadir={folder / 'data'}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
        )  # fmt: skip
        first = folder / "first.sql"
        first.touch(0o600)
        # One statement per line. The server runs the file at each start, so every statement must be idempotent.
        first.write_text(
            f"create database if not exists {self.database} character set utf8mb4;\n"
            f"create or replace user {self.login}@'127.0.0.1' identified by '{self.password}';\n"
            f"grant all on *.* to {self.login}@'127.0.0.1' with grant option;\n"
            f"alter user root@localhost identified by '{self.password}';\n"
        )
        self.give_to_account(first)

    def command(self, folder: Path) -> list[str | Path]:
        # Without fsync: the system keeps the writes of a killed server, and no test cuts the power.
        return [
            program("mariadbd"), "--no-defaults", f"--datadir={folder / 'data'}",
            f"--init-file={folder / 'first.sql'}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}", f"--tmpdir={folder}",
            "--skip-name-resolve", "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync",
            "--innodb-doublewrite=0", "--sync-frm=0", "--local-infile=0", "--max-connections=200",
        ]  # fmt: skip
