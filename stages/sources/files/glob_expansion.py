"""Expansion: the files that a local folder or glob stands for."""

import os
import stat
from pathlib import Path

from elastic.core.contracts.sink import MANIFEST, MARKER
from elastic.core.errors import SourceError
from elastic.stages.sources.files.glob_pattern import ANY_DEPTH, is_meant, is_path_match, is_wild, matcher
from elastic.stages.sources.files.written_folder import (
    NamedFile,
    check_size,
    is_passed_over,
    missing_file,
    written_files,
)

#: A folder, and the parts of the pattern that are to match below it.
_Branch = tuple[str, tuple[str, ...]]

#: The kind of a socket, which holds no data.
SOCKET = "a socket"

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: SOCKET}


class GlobExpansion:
    """Finds the files below a folder that a pattern matches. Folders and globs follow one rule.

    `**` enters folders and no links to folders, so that it always ends; other parts of a pattern match links as
    they match folders. Hidden names and the marks of a write are passed over. In a folder that holds a manifest
    only the files that the manifest names are found.

    Args:
        folder: Where to begin; it exists.
        parts: The parts of the pattern.
    """

    def __init__(self, folder: str, parts: tuple[str, ...]) -> None:
        first = (folder or "/", parts)
        self._branches: list[_Branch] = [first]
        #: with several `**` many ways lead to the same branch
        self._known: set[_Branch] = {first}
        #: the files, with True for a link
        self._files: dict[str, bool] = {}
        #: True when a folder was found that a write has left; it may be empty
        self.is_written = False

    def files(self) -> list[tuple[str, bool]]:
        """Return the files sorted by path, each with True if it is a link.

        Raises:
            SourceError: A folder cannot be read, a link leads nowhere, a name is neither a file nor a folder, or a
                written folder is not complete.
        """
        while self._branches:
            folder, parts = self._branches.pop()
            if is_wild(parts[0]):
                self._scan(folder, parts)
            else:
                self._follow(f"{folder.rstrip('/')}/{parts[0]}", parts[1:])
        return [(path, self._files[path]) for path in sorted(self._files)]

    def _branch(self, folder: str, parts: tuple[str, ...]) -> None:
        branch = (folder, parts)
        if branch not in self._known:
            self._known.add(branch)
            self._branches.append(branch)

    def _follow(self, path: str, rest: tuple[str, ...]) -> None:
        """Go on at a name that the pattern writes out."""
        try:
            is_link = stat.S_ISLNK(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise unreadable(path, error) from error
        is_folder = stat.S_ISDIR(state_of(path).st_mode)
        if rest and is_folder:
            self._branch(path, rest)
        elif not rest and not is_folder:
            self._files[path] = is_link

    def _scan(self, folder: str, parts: tuple[str, ...]) -> None:
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            raise unreadable(folder, error) from error
        marks = {entry.name for entry in entries if entry.name in (MANIFEST, MARKER) and not entry.is_dir()}
        named = written_files(folder, marks, lambda name: _content(f"{folder.rstrip('/')}/{name}"))
        if named is not None:
            self.is_written = True
            self._files.update(_checked(folder, [file for file in named if is_path_match(file.name.split("/"), parts)]))
            return
        if parts[0] == ANY_DEPTH:
            if len(parts) > 1 and not is_wild(parts[1]):
                self._branch(folder, parts[1:])
            self._descend(entries, parts)
            parts = parts[1:] or ("*",)
        if is_wild(parts[0]):
            matches = matcher(parts[0])
            for entry in entries:
                if matches(entry.name):
                    self._take(entry, parts)

    def _descend(self, entries: list["os.DirEntry[str]"], parts: tuple[str, ...]) -> None:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not is_passed_over(entry.name, is_folder=True):
                self._branch(entry.path, parts)

    def _take(self, entry: "os.DirEntry[str]", parts: tuple[str, ...]) -> None:
        """Take an entry that the first of the parts matches as a file if that is the last part, else as a folder."""
        try:
            is_folder = entry.is_dir()
        except OSError:
            is_folder = False  # a link that cannot be followed is named later if it matches
        if not is_meant(entry.name, parts[0], is_folder=is_folder):
            return
        if is_folder and len(parts) > 1:
            self._branch(entry.path, parts[1:])
        elif not is_folder and len(parts) == 1:
            self._files[entry.path] = entry.is_symlink()


def state_of(path: str) -> os.stat_result:
    """Return the state of a file, or of what a link leads to.

    Raises:
        SourceError: The link leads nowhere, or the operating system refuses.
    """
    try:
        return os.stat(path)  # noqa: PTH116  # once per file of thousands
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> SourceError:
    """Return the error for a path that the operating system refuses."""
    return SourceError(
        f"{path!r} cannot be read ({error.strerror or error}); check its permissions and the links on the way to it."
    )


def kind_of(state: os.stat_result) -> str | None:
    """Return what a path leads to if it is no regular file, or None."""
    return None if stat.S_ISREG(state.st_mode) else _KINDS.get(stat.S_IFMT(state.st_mode), "not a file")


def irregular(path: str, kind: str) -> SourceError:
    """Return the error for a path that leads to something else than a regular file."""
    return SourceError(f"{path!r} is {kind} and not a regular file; open it and read it with from_iterable.")


def _content(path: str) -> bytes:
    """Return what a mark of a write holds; a pipe of that name would be waited for without an end."""
    if kind := kind_of(state_of(path)):
        raise irregular(path, kind)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _checked(folder: str, named: list[NamedFile]) -> dict[str, bool]:
    """Return the paths of files that a manifest names, which are there and as large as it says."""
    found = {}
    for file in named:
        path = f"{folder.rstrip('/')}/{file.name}"
        try:
            state = os.stat(path)  # noqa: PTH116  # once per file of thousands
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing_file(path, folder) from error
        except OSError as error:
            raise unreadable(path, error) from error
        check_size(path, state.st_size, file)
        found[path] = os.path.islink(path)  # noqa: PTH114  # as above
    return found
