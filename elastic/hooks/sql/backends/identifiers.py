"""Names of tables and columns, which no driver can bind as parameters."""

import re
from collections.abc import Iterable
from typing import Any

from elastic.core.errors import UsageError

_NAME = re.compile(r"[^\W\d]\w*")

#: Maximum length of a name, in characters. PostgreSQL allows only 63 bytes, and reports longer names itself.
_MAX_CHARACTERS = 128


def table_parts(table: Any) -> tuple[str, ...]:
    """Split `table`, `schema.table` or `database.schema.table`.

    Raises:
        UsageError: The name has another form. Names consist of letters, digits and underscores.
    """
    parts = tuple(table.split(".")) if isinstance(table, str) else ()
    if not 1 <= len(parts) <= 3 or not all(map(_is_name, parts)):
        raise UsageError(
            f"{table!r} is not a valid table name; write table, schema.table or database.schema.table "
            "with letters, digits and underscores."
        )
    return parts


def column_names(columns: Any) -> tuple[str, ...]:
    """Return column names that are safe to write into a statement, each once.

    Raises:
        UsageError: A name is invalid or repeated, or the list is empty.
    """
    names = tuple(columns) if isinstance(columns, Iterable) and not isinstance(columns, str) else ()
    for name in names:
        if not _is_name(name):
            raise UsageError(
                f"{name!r} is not a valid column name; names consist of letters, digits and underscores. "
                "Give `columns` if the names in the file differ."
            )
    if not names:
        raise UsageError(f"columns must be a list of at least one name, not {columns!r}.")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UsageError(f"the column {doubled[0]!r} is named twice; name each column once.")
    return names


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= _MAX_CHARACTERS and _NAME.fullmatch(name) is not None
