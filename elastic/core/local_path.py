"""Local paths: what names one, and what is a URL and would become a folder of that name."""

import os
import re
from pathlib import Path

from elastic.core.errors import UsageError

#: A scheme and at least one slash: `Path` makes one of two. One letter alone is a drive.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def local_path(name: str, value: str | os.PathLike[str], *, doing: str = "writing to") -> Path:
    """Return a path, and refuse a URL.

    Args:
        name: What the path is given as, for the message.
        value: The path.
        doing: What is not possible with URLs, for the message.

    Raises:
        UsageError: It is a URL, or what `Path` makes of one. It is not shown, as it may hold a password.
    """
    found = _URL.match(os.fspath(value))
    if found is not None and found[1].lower() == "file":
        raise UsageError(f"{name} is a URL (file:...); give the path of the folder or file alone, without file://.")
    if found is not None:
        raise UsageError(
            f"{name} is a URL ({found[1]}:...), and {doing} URLs is not supported yet; give a local path, and copy "
            "what is there."
        )
    return Path(value)
