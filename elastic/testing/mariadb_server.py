"""A MariaDB server for tests."""

from pathlib import Path

from elastic.testing.database_server import ServerProcess, found_program, program


class MariaDbServer(ServerProcess):
    """Starts MariaDB as Debian's package `mariadb-server` brings it; one or two seconds."""

    name = "MariaDB"
    ready = b"ready for connections"
    account = "mysql"
    scheme = "mysql+pymysql"
    # The driver would read the certificates of the machine at each connection, for 50 ms.
    settings = "?ssl_disabled=true"

    @classmethod
    def missing(cls) -> str | None:
        lacking = [name for name in ("mariadbd", "mariadb-install-db") if found_program(name, "") is None]
        if lacking:
            return (
                f"MariaDB cannot be started: {' and '.join(lacking)} of Debian's package mariadb-server "
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
        # A line is a statement. Run at each start, so each line must bear being run again.
        first.write_text(
            f"create database if not exists {self.database} character set utf8mb4;\n"
            f"create or replace user {self.login}@'127.0.0.1' identified by '{self.password}';\n"
            f"grant all on *.* to {self.login}@'127.0.0.1' with grant option;\n"
            f"alter user root@localhost identified by '{self.password}';\n"
        )
        self.give(first)

    def command(self, folder: Path) -> list[str | Path]:
        # Without fsync: what a killed server wrote is in the memory of the system, and no test pulls the plug.
        return [
            program("mariadbd"), "--no-defaults", f"--datadir={folder / 'data'}",
            f"--init-file={folder / 'first.sql'}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}", f"--tmpdir={folder}",
            "--skip-name-resolve", "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync",
            "--innodb-doublewrite=0", "--sync-frm=0", "--local-infile=0", "--max-connections=200",
        ]  # fmt: skip
