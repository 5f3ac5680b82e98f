"""Local paths, and refusal of URLs, which would otherwise become folders of that name."""

import os
import re
from pathlib import Path

from elastic.core.errors import UsageError

#: A scheme and at least one slash, because `Path` turns two into one; or the start of a chain of URLs
#: (`zip::s3://...`). Settings may have white space in front. A single letter is a drive.
_URL = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):(?:/|:.*:/)", re.DOTALL)


def url_scheme(value: str | os.PathLike[str]) -> str | None:
    """Return the scheme of a value that is a URL, perhaps with the slashes that `Path` left; None if it is a path."""
    found = _URL.match(os.fspath(value))
    return None if found is None else found[1]


def local_path(name: str, value: str | os.PathLike[str], *, doing: str = "writing to") -> Path:
    """Return a local path. Refuse URLs and paths with NUL.

    Args:
        name: Name of the argument or setting, for the message.
        value: The path.
        doing: Action that URLs do not support, for the message.

    Raises:
        UsageError: The value is a URL, perhaps with the slashes that `Path` left, or contains a NUL character. The
            message does not show the URL, which may contain a password.
    """
    if "\0" in os.fspath(value):
        raise UsageError(f"{name}={os.fspath(value)!r} contains a NUL character; give a path without it.")
    found = _URL.match(os.fspath(value))
    if found is not None and found[1].lower() in ("file", "local"):
        raise UsageError(
            f"{name} is a URL ({found[1]}:...); give the path of the folder or file alone, without {found[1]}://."
        )
    if found is not None:
        raise UsageError(
            f"{name} is a URL ({found[1]}:...), and {doing} URLs is not supported yet; give a local path, and copy "
            "the files there."
        )
    return Path(value)
