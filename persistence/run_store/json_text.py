"""Text for what a person may want to read in a database: plain data as JSON, and messages."""

import json
from typing import Any

from elastic.core.errors import EncodingError


def write_json(value: dict[str, Any], what: str) -> str:
    """Return a dict as JSON text; tuples become lists and keys become strings.

    Raises:
        EncodingError: It holds something that JSON does not have; names `what` it is.
    """
    try:
        # Text outside ASCII is escaped: a file name may hold half a surrogate pair, which SQLite refuses.
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodingError(
            f"{what} cannot be kept as JSON ({error}); use numbers, strings, lists and dicts."
        ) from error


def read_json(text: str) -> dict[str, Any]:
    """Return the dict of a text that `write_json` made.

    Raises:
        EncodingError: The text is not JSON, or not a dict.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EncodingError(f"the text is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise EncodingError("the text is JSON, but not a dict")
    return value
