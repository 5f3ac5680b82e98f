"""First admin: created if there are no users, with a generated password that is shown once."""

import os
from pathlib import Path

from elastic.core.errors import ElasticError
from elastic.db.database import Database
from elastic.db.errors import RowExistsError
from elastic.db.stores.users import Role, UserStore
from elastic.web.security.passwords import hash_password, made_up_password

FIRST_ADMIN = "admin"

#: Name of the file in the home folder that receives the password if there is no terminal.
PASSWORD_FILE = "admin-password"  # noqa: S105 - the name of a file


def make_first_admin(database: Database) -> str | None:
    """Create the user `admin` if there is no user, and return its password; None if there are users."""
    store = UserStore(database)
    if not store.is_empty():
        return None
    password = made_up_password()
    try:
        store.create(FIRST_ADMIN, Role.ADMIN, hash_password(password), is_initial=True)
    except RowExistsError:
        return None  # another process has created it
    return password


def write_password(home: Path, password: str) -> Path:
    """Write the password to a new file that only its owner can read, and return its path.

    Raises:
        ElasticError: The file cannot be written.
    """
    path = home / PASSWORD_FILE
    try:
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as stream:
            stream.write(f"{password}\n")
    except OSError as error:
        raise ElasticError(
            f"the password of the user {FIRST_ADMIN!r} cannot be written to {path} ({error.strerror}); "
            f"set one with `elastic users password {FIRST_ADMIN}`."
        ) from error
    return path
