"""Sink of files: a folder, a format, and how the files are cut."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack
from urllib.parse import unquote, urlsplit

from elastic.core.contracts.record_sink import Publication, RecordSink, SinkDefect, SinkOwner
from elastic.core.errors import UsageError
from elastic.core.local_path import local_path, url_scheme
from elastic.core.model.written import WrittenFile
from elastic.core.redaction import masked_url
from elastic.core.suggest import did_you_mean
from elastic.persistence.written_files.compressed_format import CompressedFormat
from elastic.persistence.written_files.file_format import FileFormat
from elastic.persistence.written_files.folder_audit import FolderAudit
from elastic.persistence.written_files.folder_publication import (
    FilePlan,
    FolderPublication,
    IfExists,
    identity_of,
    tag_of,
)
from elastic.persistence.written_files.local_folder import LocalFolder
from elastic.persistence.written_files.partitioned_format import PartitionedFormat
from elastic.persistence.written_files.remote_folder import RemoteFolder, check_cluster, check_url
from elastic.persistence.written_files.target_folder import TargetFolder

#: Bytes at which a file is complete.
DEFAULT_FILE_BYTES = 128 << 20

#: Schemes of URLs of local files.
_LOCAL_SCHEMES = ("file", "local")

#: Wildcards of source paths.
_WILD = re.compile(r"[*?\[]")


class WriteOptions(TypedDict, total=False):
    """Keyword arguments for the files of a write."""

    file_bytes: int
    compression: str | None
    partition_by: str | Sequence[str] | None
    ordered: bool
    if_exists: str
    storage_options: Mapping[str, Any] | None


class FileSink(RecordSink):
    """Sink of files in a folder.

    Args:
        url: Folder: a local path or a URL.
        format: Format of the files.
        options: As in `Flow.write_text`.

    Raises:
        UsageError: An argument is invalid.
    """

    def __init__(self, url: "str | os.PathLike[str]", format: FileFormat, **options: Unpack[WriteOptions]) -> None:
        self._verb = f"write_{format.name}"
        _check_names(self._verb, options)
        self._plan = _plan_of(format, options)
        self.ordered = self._plan.ordered
        self._place = FilePlace.of(self._verb, url, options.get("storage_options"))

    @property
    def name(self) -> str:
        return self._verb

    def describe(self) -> dict[str, Any]:
        plan = self._plan
        return {
            "kind": "files",
            "url": self._place.shown,
            **plan.format.describe(),
            "ordered": plan.ordered,
            "if_exists": plan.if_exists.value,
        }

    def publication(self, owner: SinkOwner) -> Publication:
        return FolderPublication(owner, self._plan, self._place.folder)

    def audit(self, owner: SinkOwner, parts: Sequence[WrittenFile]) -> Iterator[SinkDefect]:
        return FolderAudit(self._place.folder(owner), owner).defects(parts)

    def check_source(self, source: dict[str, Any]) -> None:
        for path in _paths_in(source):
            target, text = self._place.compared(), _source_text(path)
            fixed = text
            while _WILD.search(fixed):
                fixed = fixed.rpartition("/")[0]
            read = fixed if url_scheme(fixed) else os.path.realpath(fixed)
            if _is_inside(read, target) or (
                _is_inside(target, read) and _reads_below(text[len(fixed) :], target[len(read) :])
            ):
                raise UsageError(
                    f"the flow reads {path!r} and writes to {self._place.shown!r}, which overlap, so the source would "
                    "change while it is read; write to another folder."
                )

    def check_cluster(self, cluster: str) -> None:
        self._place.check_cluster(cluster)

    def __repr__(self) -> str:
        return f"{self._verb}({self._place.shown!r})"


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


def audit_files(description: Mapping[str, Any], owner: SinkOwner, parts: Sequence[WrittenFile]) -> Iterator[SinkDefect]:
    """Yield the defects of written files, for which a run has only the description of their sink.

    Raises:
        UsageError: The place cannot be read without its login.
        StoreError: It cannot be read.
    """
    folder = FilePlace.of("verify", description["url"], None).folder(owner)
    return FolderAudit(folder, owner).defects(parts)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Folder of a write, as the user named it: a local path or a URL."""

    path: Path | None
    url: str = ""
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, verb: str, url: Any, storage_options: Mapping[str, Any] | None) -> "FilePlace":
        """Return the place of a path or URL.

        Raises:
            UsageError: It is neither, or cannot be written to.
        """
        text = os.fspath(url) if isinstance(url, str | os.PathLike) else None
        if not isinstance(text, str) or not text:
            raise UsageError(f"{verb}({url!r}): expected the path or URL of a folder.")
        scheme = url_scheme(text)
        if scheme is None or scheme.lower() in _LOCAL_SCHEMES:
            if storage_options:
                raise UsageError(f"{verb} takes storage_options with a URL such as s3://..., not with a local path.")
            local = unquote(urlsplit(text).path) if scheme and "://" in text else text
            return cls(local_path(verb, local).expanduser().absolute())
        if isinstance(url, os.PathLike):
            raise UsageError(f"{verb} got a URL ({scheme}:...) as a Path, which loses a slash; give it as a string.")
        if "://" not in text and "::" not in text:
            # The rest may have a password, of a form that nothing masks.
            raise UsageError(f"{verb} got a URL with one slash ({scheme}:/...); write {scheme}://...")
        check_url(text.strip(), verb)
        return cls(None, text.strip(), dict(storage_options or {}))

    @property
    def shown(self) -> str:
        """Path or URL without secrets."""
        return str(self.path) if self.path is not None else masked_url(self.url.rstrip("/"))

    def compared(self) -> str:
        """Return the place in the form in which sources are compared with it."""
        return os.path.realpath(self.path) if self.path is not None else self.shown

    def check_cluster(self, cluster: str) -> None:
        """Check that workers of a cluster can reach the place. Raises UsageError."""
        if self.path is None:
            check_cluster(self.url, cluster)

    def folder(self, owner: SinkOwner) -> TargetFolder:
        """Return the target folder for a step."""
        mark = identity_of(owner)
        if self.path is not None:
            return LocalFolder(self.path, f"{owner.run_id}-{owner.step}", tag_of(owner), mark)
        return RemoteFolder(self.url, self.storage_options, tag_of(owner), mark)


def _paths_in(source: Any) -> Iterator[str]:
    """Yield the paths in the description of a source, and of those from which it is made."""
    if isinstance(source, Mapping):
        paths = source.get("paths", ())
        yield from (path for path in (paths if isinstance(paths, list | tuple) else ()) if isinstance(path, str))
    if isinstance(source, Mapping | list | tuple):
        for part in source.values() if isinstance(source, Mapping) else source:
            yield from _paths_in(part)


def _source_text(path: str) -> str:
    """Return a source path or pattern as it is compared with the place of a write."""
    scheme = url_scheme(path)
    if scheme is not None and scheme.lower() not in _LOCAL_SCHEMES:
        return masked_url(path.rstrip("/"))
    text = unquote(urlsplit(path).path) if scheme else path
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111  # a pattern is not a path


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _reads_below(pattern: str, below: str) -> bool:
    """Return whether a source may read files of the target.

    Args:
        pattern: Part of its path from the first wildcard on; empty without one.
        below: Path of the target below the part before that.
    """
    if not pattern or "**" in pattern:
        return True
    # A file of the target is one level below it, or deeper in folders of partitions.
    return pattern.strip("/").count("/") + 1 > len([part for part in below.split("/") if part])
