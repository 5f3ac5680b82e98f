"""JSON for the columns of a database that people may want to read."""

import json
from typing import Any

from elastic.core.errors import EncodingError


def write_json(value: dict[str, Any], what: str) -> str:
    """Return a dict as JSON; tuples become lists and keys become strings.

    Raises:
        EncodingError: JSON cannot represent a value. The message begins with `what`.
    """
    try:
        # json.dumps escapes all but ASCII: a file name may contain half a surrogate pair, which SQLite refuses.
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodingError(
            f"{what} cannot be written as JSON ({error}); use numbers, strings, lists and dicts."
        ) from error


def read_json(text: str) -> dict[str, Any]:
    """Return the dict that `write_json` wrote.

    Raises:
        EncodingError: The string is invalid JSON, or no dict.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EncodingError(f"invalid JSON ({error})") from error
    if not isinstance(value, dict):
        raise EncodingError(f"expected a dict in JSON, got {type(value).__name__}")
    return value
