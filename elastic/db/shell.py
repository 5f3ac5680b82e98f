"""The programs that databases bring for people who want to look at their tables."""

import os
import shutil

from elastic.core.errors import UsageError
from elastic.db.url import read_url, shown

_PROGRAMS = {"sqlite": ("sqlite3",), "postgresql": ("psql",), "mysql": ("mariadb", "mysql")}


def open_shell(text: str) -> None:
    """Become the program of a database, given by its URL. The password goes through the environment.

    Raises:
        UsageError: The program is not installed.
    """
    program, arguments, environment = shell_of(text)
    os.execvpe(program, [program, *arguments], {**os.environ, **environment})  # noqa: S606 - it is what was asked for


def shell_of(text: str) -> tuple[str, list[str], dict[str, str]]:
    """Return the program, its arguments, and what it finds in its environment.

    Raises:
        UsageError: The program is not installed.
    """
    url = read_url(text)
    kind = url.get_backend_name()
    program = next((name for name in _PROGRAMS[kind] if shutil.which(name)), None)
    if program is None:
        raise UsageError(f"{' or '.join(_PROGRAMS[kind])} isn't installed, which shows {shown(url)}; install it.")
    name, password = url.database or "", str(url.password or "")
    host, port, login = url.host or "127.0.0.1", url.port, url.username or ""
    if kind == "sqlite":
        return program, [name], {}
    if kind == "postgresql":
        told = {"PGHOST": host, "PGUSER": login, "PGDATABASE": name, "PGPASSWORD": password, "PGPORT": str(port or "")}
        return program, [], {key: value for key, value in told.items() if value}
    place = [f"--host={host}", f"--user={login}", *([f"--port={port}"] if port else [])]
    return program, [*place, name], {"MYSQL_PWD": password}
