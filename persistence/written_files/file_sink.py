"""Sink of files: a folder, a format, and how the files are cut."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack
from urllib.parse import unquote, urlsplit

from elastic.core.contracts.record_sink import Publication, RecordSink, SinkOwner
from elastic.core.errors import UsageError
from elastic.core.local_path import local_path
from elastic.core.suggest import did_you_mean
from elastic.persistence.written_files.compressed_format import CompressedFormat
from elastic.persistence.written_files.file_format import FileFormat
from elastic.persistence.written_files.folder_publication import FilePlan, FolderPublication, IfExists, identity_of
from elastic.persistence.written_files.local_folder import LocalFolder
from elastic.persistence.written_files.partitioned_format import PartitionedFormat
from elastic.persistence.written_files.target_folder import TargetFolder

#: Bytes at which a file is complete.
DEFAULT_FILE_BYTES = 128 << 20

#: Wildcards of source paths.
_WILD = re.compile(r"[*?\[]")


class WriteOptions(TypedDict, total=False):
    """Keyword arguments for the files of a write."""

    file_bytes: int
    compression: str | None
    partition_by: str | Sequence[str] | None
    ordered: bool
    if_exists: str


class FileSink(RecordSink):
    """Sink of files in a folder.

    Args:
        url: Folder: a local path or a URL.
        format: Format of the files.
        options: `file_bytes`, `compression`, `partition_by`, `ordered` and `if_exists`, as in `Flow.write_text`.

    Raises:
        UsageError: An argument is invalid.
    """

    def __init__(self, url: "str | os.PathLike[str]", format: FileFormat, **options: Unpack[WriteOptions]) -> None:
        self._verb = f"write_{format.name}"
        _check_names(self._verb, options)
        self._plan = _plan_of(format, options)
        self.ordered = self._plan.ordered
        self._path = _local_folder(self._verb, url)

    def describe(self) -> dict[str, Any]:
        plan = self._plan
        return {
            "kind": "files",
            "url": str(self._path),
            **plan.format.describe(),
            "ordered": plan.ordered,
            "if_exists": plan.if_exists.value,
        }

    def publication(self, owner: SinkOwner) -> Publication:
        return FolderPublication(owner, self._plan, self._folder_of)

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
        return LocalFolder(self._path, f"{owner.run_id}-{owner.step}", identity_of(owner))

    def __repr__(self) -> str:
        return f"{self._verb}({str(self._path)!r})"


def _check_names(verb: str, options: WriteOptions) -> None:
    known = WriteOptions.__annotations__
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known, f"there are {', '.join(known)}.")
            raise UsageError(f"{verb} has no argument {name!r}; {hint}")


def _plan_of(format: FileFormat, options: WriteOptions) -> FilePlan:
    """Return how the files are written.

    Raises:
        UsageError: An option is invalid.
    """
    file_bytes, compression = options.get("file_bytes", DEFAULT_FILE_BYTES), options.get("compression")
    partition_by, ordered = options.get("partition_by"), options.get("ordered", False)
    if_exists = options.get("if_exists", IfExists.ERROR)
    if type(file_bytes) is not int or file_bytes < 1:
        raise UsageError(f"file_bytes={file_bytes!r} must be a whole number above 0.")
    if not isinstance(ordered, bool):
        raise UsageError(f"ordered={ordered!r} must be True or False.")
    if if_exists not in list(IfExists):
        raise UsageError(f"if_exists={if_exists!r} must be one of {', '.join(IfExists)}.")
    if compression is not None:
        format = CompressedFormat(format, compression)
    if partition_by is not None:
        format = PartitionedFormat(format, partition_by)
    return FilePlan(format, file_bytes, ordered, IfExists(if_exists))


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
