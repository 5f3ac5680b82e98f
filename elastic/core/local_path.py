"""Local paths: what names one, and what is a URL and would become a folder of that name."""

import os
import re
from pathlib import Path

from elastic.core.errors import UsageError

#: A scheme and at least one slash, as `Path` makes one of two; or what a chain of URLs begins with (`zip::s3://...`).
#: White space in front comes from settings. One letter alone is a drive.
_URL = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):(?:/|:.*:/)", re.DOTALL)


def local_path(name: str, value: str | os.PathLike[str], *, doing: str = "writing to") -> Path:
    """Return a path, and refuse a URL and what no path can be.

    Args:
        name: What the path is given as, for the message.
        value: The path.
        doing: What is not possible with URLs, for the message.

    Raises:
        UsageError: It is a URL, or what `Path` makes of one, which is not shown, as it may hold a password. Or it holds
            a NUL character.
    """
    if "\0" in os.fspath(value):
        raise UsageError(f"{name}={os.fspath(value)!r} holds a NUL character; give a path without it.")
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
