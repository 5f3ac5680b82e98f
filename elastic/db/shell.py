"""Interactive SQL shells of the databases."""

import os
import shutil

from elastic.core.errors import UsageError
from elastic.db.url import read_url, shown

_PROGRAMS = {"sqlite": ("sqlite3",), "postgresql": ("psql",), "mysql": ("mariadb", "mysql")}


def open_shell(text: str) -> None:
    """Replace this process by the SQL shell of a database URL. The password is passed in the environment.

    Raises:
        UsageError: The program is not installed.
    """
    program, arguments, environment = shell_of(text)
    os.execvpe(program, [program, *arguments], {**os.environ, **environment})  # noqa: S606 - the user asked for this program


def shell_of(text: str) -> tuple[str, list[str], dict[str, str]]:
    """Return the program, its arguments, and its environment variables.

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
        variables = {
            "PGHOST": host,
            "PGUSER": login,
            "PGDATABASE": name,
            "PGPASSWORD": password,
            "PGPORT": str(port or ""),
        }
        return program, [], {key: value for key, value in variables.items() if value}
    options = [f"--host={host}", f"--user={login}", *([f"--port={port}"] if port else [])]
    return program, [*options, name], {"MYSQL_PWD": password}
