"""Listing of a source's files: expands paths, globs, folders and URLs."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from elastic.core.encoding import digest
from elastic.core.errors import SourceChangedError, SourceError, SourceNotFoundError, UsageError
from elastic.stages.sources.files.glob_expansion import (
    SOCKET,
    GlobExpansion,
    not_a_file_error,
    special_kind_of,
    stat_of,
    unreadable_error,
)
from elastic.stages.sources.files.glob_pattern import ANY_DEPTH, is_wild, split_pattern

_LOCAL_SCHEMES = ("file", "local")


class FoundFile(NamedTuple):
    """File to read."""

    path: str  #: Absolute path, or a URL.
    size: int  #: Bytes.
    version: int | str  #: Modification time in nanoseconds, or the version string of a remote store.


@dataclass(frozen=True, slots=True)
class FileListing:
    """Files of a source, in reading order."""

    files: tuple[FoundFile, ...]
    #: fsspec file systems, by protocol.
    remotes: dict[str, Any]

    @property
    def mark(self) -> tuple[int, int, bytes]:
        """Number of files, their bytes, and a digest of all paths, sizes and versions."""
        text = "\0".join([f"{file.path}\0{file.size}\0{file.version}" for file in self.files])
        size = sum([file.size for file in self.files])
        return len(self.files), size, digest(text.encode("utf-8", "surrogatepass"))


def path_strings(paths: Any) -> tuple[str, ...]:
    """Return the user's path or paths as strings.

    Raises:
        UsageError: The value is empty, or is neither a string nor a `Path` nor a list of these.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise UsageError(f"paths must be a path or a list of paths, not {paths!r}.")
    texts = []
    for path in given:
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
        if not isinstance(text, str) or not text or "\0" in text:
            raise UsageError(f"{path!r} is not a path; pass a file, a folder, a glob or a URL.")
        texts.append(text)
    if not texts:
        raise UsageError("paths is an empty list; pass at least one file, folder, glob or URL.")
    return tuple(texts)


def is_url(path: str) -> bool:
    """Return whether fsspec reads a path: `protocol://...`, but not `file://...`."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum() and scheme not in _LOCAL_SCHEMES


def local_path(path: str) -> str:
    """Return the absolute path of a path or a `file://` URL, because workers may run in another working folder."""
    if path.partition("://")[0] in _LOCAL_SCHEMES:
        path = unquote(urlsplit(path).path)
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  # Path is ten times slower here


class LocalFiles:
    """Lists local files, and detects different names of one file."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def files_of(self, path: str) -> Iterator[tuple[str, FoundFile]]:
        """Yield the files of a path, a glob or a folder, sorted by path, each preceded by its real path.

        A folder stands for all files that `**` matches below it. The real path has no symbolic links.

        Raises:
            SourceNotFoundError: The path names nothing.
            SourceError: The path exists but cannot be read.
        """
        path = local_path(path)
        try:
            state = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            yield from self._files_of_glob(path)
            return
        except OSError as error:
            raise unreadable_error(path, error) from error
        if stat.S_ISDIR(state.st_mode):
            yield from self._expand(path, (ANY_DEPTH,), SourceNotFoundError(path, "is a folder without files"))
        elif kind := special_kind_of(state):
            raise not_a_file_error(path, kind)
        else:
            yield self._real_path(path, is_link=os.path.islink(path)), _check_readable(path, state)  # noqa: PTH114

    def _files_of_glob(self, pattern: str) -> Iterator[tuple[str, FoundFile]]:
        if os.path.islink(pattern):  # noqa: PTH114  # as above
            stat_of(pattern)
        if not is_wild(pattern):
            raise SourceNotFoundError(pattern)
        folder, parts = split_pattern(pattern)
        nothing = SourceNotFoundError(pattern, "matches no file")
        if not stat.S_ISDIR(_state_or(nothing, folder or "/").st_mode):
            raise nothing
        yield from self._expand(folder, parts, nothing)

    def _expand(
        self, folder: str, parts: tuple[str, ...], nothing: SourceNotFoundError
    ) -> Iterator[tuple[str, FoundFile]]:
        expansion = GlobExpansion(folder, parts)
        found = 0
        for path, is_link in expansion.files():
            state = stat_of(path)
            kind = special_kind_of(state)
            if kind == SOCKET:
                continue  # holds no data
            if kind is not None:
                raise not_a_file_error(path, kind)
            found += 1
            yield self._real_path(path, is_link=is_link), _check_readable(path, state)
        if not found and not expansion.is_written:
            raise nothing

    def _real_path(self, path: str, *, is_link: bool) -> str:
        if is_link:
            return os.path.realpath(path)
        folder, _, name = path.rpartition("/")
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder or "/")
        return f"{self._real[folder]}/{name}"


def _state_or(error: SourceNotFoundError, path: str) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116  # for the same errors as elsewhere
    except (FileNotFoundError, NotADirectoryError):
        raise error from None
    except OSError as refused:
        raise unreadable_error(path, refused) from refused


def _check_readable(path: str, state: os.stat_result) -> FoundFile:
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path!r} cannot be read (Permission denied); check its permissions.")
    if not state.st_size:
        _check_empty(path)
    return FoundFile(path, state.st_size, state.st_mtime_ns)


def _check_empty(path: str) -> None:
    """Refuse a file of the system, or of a device, that has content but reports 0 bytes."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # Path.open takes twice the time
            has_content, size = bool(file.read(1)), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise unreadable_error(path, error) from error
    if has_content and not size:
        raise SourceError(
            f"{path!r} reports 0 bytes but has content; copy it to a regular file, or open it and read it "
            "with from_iterable."
        )
    if size:
        raise SourceChangedError(path, f"it had 0 bytes and has {size}")
