"""Folders written by Elastic: the files of their result, and names that never contain data."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from elastic.core.contracts.sink import MANIFEST, MARKER, STAGING, SUCCESS
from elastic.core.errors import SourceError

#: Returns the content of a file of a folder, by its name.
ReadFile = Callable[[str], bytes]


class NamedFile(NamedTuple):
    """File in a manifest."""

    name: str  #: Path below the folder, with `/` as separator.
    size: int  #: Bytes.


def is_ignored(name: str, *, is_folder: bool) -> bool:
    """Return True for names that folders and wildcards do not match: hidden names and marks of a write."""
    return name.startswith(".") or (name == STAGING if is_folder else name in (MANIFEST, SUCCESS))


def manifest_files(folder: str, names: frozenset[str] | set[str], read: ReadFile) -> list[NamedFile] | None:
    """Return the files in a folder's manifest, or None if Elastic did not write the folder.

    Args:
        folder: Path for messages.
        names: Names of the files in the folder.
        read: Reads one of these files.

    Raises:
        SourceError: The manifest is invalid, or the write is incomplete.
    """
    if MANIFEST in names:
        named = _parse_manifest(_json(read(MANIFEST)))
        if named is None:
            raise SourceError(f"{folder!r} contains an invalid {MANIFEST}; restore it, or pass the data files by name.")
        return named
    if MARKER in names:
        data = read(MARKER)
        if not data.strip(b"\0"):  # the machine stopped after creating the file and before writing it
            raise SourceError(
                f"{folder!r} is incomplete: a run stopped before it wrote anything; "
                f"remove {MARKER} from it, or pass the files by name."
            )
        marker = _json(data)
        if isinstance(marker, dict) and isinstance(marker.get("run_id"), str) and type(marker.get("epoch")) is int:
            raise SourceError(
                f"{folder!r} is incomplete: run {marker['run_id']} is writing it, or stopped before its end; "
                f"run `elastic resume {marker['run_id']}`, or pass the files by name."
            )
    return None


def missing_file_error(path: str, folder: str) -> SourceError:
    """Return the error for a file that a manifest names but that does not exist."""
    return SourceError(
        f"{path!r} is missing, but {MANIFEST} in {folder!r} names it; restore it, or write the folder again."
    )


def check_size(path: str, found: int, named: NamedFile) -> None:
    """Raise an error if the size of a file differs from its manifest.

    Raises:
        SourceError: The sizes differ.
    """
    if found != named.size:
        raise SourceError(
            f"{path!r} has {found} bytes, but {MANIFEST} says {named.size}; "
            "restore the file that was written, or write the folder again."
        )


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _parse_manifest(manifest: Any) -> list[NamedFile] | None:
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
    """Return True for a name that stays inside the folder and that a wildcard does not ignore."""
    if not isinstance(name, str) or "\0" in name:
        return False
    *folders, last = name.split("/")
    is_hidden = is_ignored(last, is_folder=False) or any(is_ignored(each, is_folder=True) for each in folders)
    return "" not in (*folders, last) and not is_hidden
