"""Which files a source reads: paths, globs, folders and URLs become a list of files."""

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from elastic.core.encoding import digest
from elastic.core.errors import SourceError, SourceNotFoundError, UsageError

_LOCAL_SCHEMES = ("file", "local")


class FoundFile(NamedTuple):
    """A file that is to be read."""

    path: str  #: absolute, or a URL
    size: int  #: bytes
    version: int | str  #: nanoseconds of the last change; of a remote file what its store tells instead


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a source, in the order in which they are read."""

    files: tuple[FoundFile, ...]
    #: one file system of fsspec for each protocol among the files
    remotes: dict[str, Any]

    @property
    def mark(self) -> tuple[int, int, bytes]:
        """Number of files, bytes, and a digest of all paths, sizes and versions."""
        text = "\0".join([f"{file.path}\0{file.size}\0{file.version}" for file in self.files])
        size = sum([file.size for file in self.files])
        return len(self.files), size, digest(text.encode("utf-8", "surrogatepass"))


def path_texts(paths: Any) -> tuple[str, ...]:
    """Return what the user gave, one path or several, as texts.

    Raises:
        UsageError: It is empty, or neither a text nor a `Path` nor a list of these.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise UsageError(f"paths must be a path or a list of paths, not {paths!r}.")
    texts = []
    for path in given:
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
        if not isinstance(text, str) or not text or "\0" in text:
            raise UsageError(f"{path!r} is not a path; give a file, a folder, a glob or a URL.")
        texts.append(text)
    if not texts:
        raise UsageError("paths is an empty list; give at least one file, folder, glob or URL.")
    return tuple(texts)


def is_url(path: str) -> bool:
    """Say whether a path is read through fsspec: `protocol://...`, but not `file://...`."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum() and scheme not in _LOCAL_SCHEMES


def list_local(path: str) -> Iterator[FoundFile]:
    """Yield the files that a path, a glob or a folder names, sorted by path.

    A folder stands for all regular files below it, a glob for the files that it matches; names that begin with
    a dot are passed over unless they are written out, and links to folders inside a folder are not followed.

    Raises:
        SourceNotFoundError: Nothing is there.
        SourceError: It is there but cannot be read.
    """
    if path.partition("://")[0] in _LOCAL_SCHEMES:
        path = unquote(urlsplit(path).path)
    # Workers may run in another folder.
    path = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  # Path is ten times slower here
    try:
        state = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        yield from _list_glob(path)
        return
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(state.st_mode):
        yield from _list_folder(path)
    elif stat.S_ISREG(state.st_mode):
        yield _readable(path, state)
    else:
        raise SourceError(f"{path!r} is not a regular file; open it and read it with from_iterable.")


def unreadable(path: str, error: OSError) -> SourceError:
    """Return the error for a path that the operating system refuses."""
    return SourceError(
        f"{path!r} cannot be read ({error.strerror or error}); check its permissions and the links on the way to it."
    )


def _list_glob(pattern: str) -> Iterator[FoundFile]:
    if not glob.has_magic(pattern):
        raise SourceNotFoundError(pattern)
    found = False
    for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  # ten times faster than Path
        state = _state(path)
        if stat.S_ISREG(state.st_mode):
            found = True
            yield _readable(path, state)
    if not found:
        raise SourceNotFoundError(pattern, "matches no file")


def _list_folder(folder: str) -> Iterator[FoundFile]:
    files: list[FoundFile] = []
    _walk(folder, files)
    if not files:
        raise SourceNotFoundError(folder, "is a folder without files")
    yield from sorted(files)


def _walk(folder: str, files: list[FoundFile]) -> None:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    _walk(entry.path, files)
                elif entry.is_file():
                    files.append(_readable(entry.path, entry.stat()))
                elif entry.is_symlink():
                    _state(entry.path)
    except SourceError:
        raise
    except OSError as error:
        raise unreadable(folder, error) from error


def _state(path: str) -> os.stat_result:
    """Return what a link leads to, or say that it leads nowhere rather than pass over data."""
    try:
        return os.stat(path)  # noqa: PTH116  # once per file of thousands
    except OSError as error:
        raise unreadable(path, error) from error


def _readable(path: str, state: os.stat_result) -> FoundFile:
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path!r} cannot be read (Permission denied); check its permissions.")
    return FoundFile(path, state.st_size, state.st_mtime_ns)
