"""Folders that a write has left: which of their files are its result, and which names never hold data."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from elastic.core.contracts.sink import MANIFEST, MARKER, STAGING, SUCCESS
from elastic.core.errors import SourceError

#: Reads a file of a folder, by its name.
Read = Callable[[str], bytes]


class NamedFile(NamedTuple):
    """A file that a manifest names."""

    name: str  #: below the folder, with `/` between its parts
    size: int  #: bytes


def is_passed_over(name: str, *, is_folder: bool) -> bool:
    """Return True for a name that neither a folder nor a wildcard stands for: hidden, or a mark of a write."""
    return name.startswith(".") or (name == STAGING if is_folder else name in (MANIFEST, SUCCESS))


def written_files(folder: str, names: frozenset[str] | set[str], read: Read) -> list[NamedFile] | None:
    """Return the files of a folder that its manifest names, or None where no write has left one.

    Args:
        folder: For messages.
        names: The names of the files in it.
        read: Reads one of them.

    Raises:
        SourceError: The manifest is not one, or the write is not complete.
    """
    if MANIFEST in names:
        named = _named(_json(read(MANIFEST)))
        if named is None:
            raise SourceError(
                f"{folder!r} holds a {MANIFEST} that names no files in a way that can be read; "
                "put back a good copy of it, or give the data files by their names."
            )
        return named
    if MARKER in names:
        data = read(MARKER)
        if not data.strip(b"\0"):  # the machine has stopped between the making of the file and its content
            raise SourceError(
                f"{folder!r} is not complete, a run has stopped before it wrote anything; "
                f"remove {MARKER} from it, or give the files by their names."
            )
        marker = _json(data)
        if isinstance(marker, dict) and isinstance(marker.get("run_id"), str) and type(marker.get("epoch")) is int:
            raise SourceError(
                f"{folder!r} is not complete, run {marker['run_id']} writes it or has stopped before its end; "
                f"run `elastic resume {marker['run_id']}`, or give the files by their names."
            )
    return None


def missing_file(path: str, folder: str) -> SourceError:
    """Return the error for a file that a manifest names and that is not there."""
    return SourceError(
        f"{path!r} is missing, and {MANIFEST} in {folder!r} names it; put it back, or write the folder again."
    )


def check_size(path: str, found: int, named: NamedFile) -> None:
    """Raise if a file is not as large as its manifest says.

    Raises:
        SourceError: It is not.
    """
    if found != named.size:
        raise SourceError(
            f"{path!r} has {found} bytes, and {MANIFEST} says {named.size}; "
            "put back the file that was written, or write the folder again."
        )


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _named(manifest: Any) -> list[NamedFile] | None:
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, list):
        return None
    found = []
    for file in files:
        name, size = (file.get("file"), file.get("bytes")) if isinstance(file, dict) else (None, None)
        if not _is_below(name) or type(size) is not int:
            return None
        found.append(NamedFile(str(name), size))
    return found


def _is_below(name: Any) -> bool:
    """Return True for a name that cannot lead out of the folder, and that a wildcard does not pass over."""
    if not isinstance(name, str) or "\0" in name:
        return False
    *folders, last = name.split("/")
    is_hidden = is_passed_over(last, is_folder=False) or any(is_passed_over(each, is_folder=True) for each in folders)
    return "" not in (*folders, last) and not is_hidden
