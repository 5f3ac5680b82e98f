"""Sink of files: a folder, a format, and how the files are cut."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from elastic.core.contracts.record_sink import Publication, RecordSink, SinkOwner
from elastic.core.errors import UsageError
from elastic.core.local_path import local_path
from elastic.persistence.written_files.file_format import FileFormat
from elastic.persistence.written_files.folder_publication import FolderPublication, marker_of
from elastic.persistence.written_files.local_folder import LocalFolder
from elastic.persistence.written_files.target_folder import TargetFolder

#: Bytes at which a file is complete.
DEFAULT_FILE_BYTES = 128 << 20

#: Wildcards of source paths.
_WILD = re.compile(r"[*?\[]")


class FileSink(RecordSink):
    """Sink of files in a folder.

    Args:
        url: Folder: a local path or a URL.
        format: Format of the files.
        file_bytes: Bytes at which a file is complete; the last rows may exceed it.

    Raises:
        UsageError: An argument is invalid.
    """

    def __init__(
        self, url: "str | os.PathLike[str]", format: FileFormat, *, file_bytes: int = DEFAULT_FILE_BYTES
    ) -> None:
        if type(file_bytes) is not int or file_bytes < 1:
            raise UsageError(f"file_bytes={file_bytes!r} must be a whole number above 0.")
        self._format, self._file_bytes = format, file_bytes
        self._path = _local_folder(f"write_{format.name}", url)

    def describe(self) -> dict[str, Any]:
        return {"kind": "files", "url": str(self._path), **self._format.describe()}

    def publication(self, owner: SinkOwner) -> Publication:
        return FolderPublication(owner, self._format, self._file_bytes, self._folder_of)

    def check_source(self, source: dict[str, Any]) -> None:
        target = os.path.realpath(self._path)
        for path in _local_paths(source):
            fixed = path
            while _WILD.search(fixed):
                fixed = os.path.dirname(fixed)  # noqa: PTH120  # of a pattern, which is not a path
            read = os.path.realpath(fixed)
            if _is_inside(read, target) or (_is_inside(target, read) and _reads_below(path, fixed, target)):
                raise UsageError(
                    f"the flow reads {path!r} and writes to {str(self._path)!r}, which overlap, so the source would "
                    "change while it is read; write to another folder."
                )

    def _folder_of(self, owner: SinkOwner) -> TargetFolder:
        return LocalFolder(self._path, f"{owner.run_id}-{owner.step}", marker_of(owner))

    def __repr__(self) -> str:
        return f"write_{self._format.name}({str(self._path)!r})"


def _local_folder(verb: str, url: "str | os.PathLike[str]") -> Path:
    """Return the absolute path of a local folder.

    Raises:
        UsageError: The value is not a path.
    """
    if not isinstance(url, str | os.PathLike) or not os.fspath(url) or not isinstance(os.fspath(url), str):
        raise UsageError(f"{verb}({url!r}): expected the path of a folder.")
    text = os.fspath(url)
    if text.partition("://")[0] in ("file", "local"):
        text = unquote(urlsplit(text).path)
    return local_path(verb, text).expanduser().absolute()


def _local_paths(source: dict[str, Any]) -> Iterator[str]:
    """Yield the absolute local paths of a source of files."""
    for path in source.get("paths", ()) if source.get("kind") == "files" else ():
        scheme, separator, _ = path.partition("://")
        if separator and scheme not in ("file", "local"):
            continue
        text = unquote(urlsplit(path).path) if separator else path
        yield os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111  # a pattern is not a path


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _reads_below(path: str, fixed: str, target: str) -> bool:
    """Return whether a source that reads `path`, whose part before the first wildcard is `fixed`, may read `target`."""
    if path == fixed or "**" in path:
        return True
    depth = path[len(fixed) :].strip("/").count("/") + 1
    below = target[len(os.path.realpath(fixed)) :].strip("/")
    # A file of the target is one level below it, or deeper in folders of partitions.
    return depth > (below.count("/") + 1 if below else 0)
