"""Expansion of a local folder or glob into files."""

import os
import stat
from pathlib import Path

from elastic.core.contracts.sink import MANIFEST, MARKER
from elastic.core.errors import SourceError
from elastic.stages.sources.files.glob_pattern import ANY_DEPTH, is_eligible, is_path_match, is_wild, matcher
from elastic.stages.sources.files.written_folder import (
    NamedFile,
    check_size,
    is_ignored,
    manifest_files,
    missing_file_error,
)

#: A folder, and the parts of the pattern to match below it.
_Branch = tuple[str, tuple[str, ...]]

#: Kind of a socket, which contains no data.
SOCKET = "a socket"

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: SOCKET}


class GlobExpansion:
    """Search for the files below a folder that match a pattern. Folders and globs follow one rule.

    `**` enters folders but no links to folders, so it always terminates. Other parts of a pattern match links and
    folders alike. Hidden names and the marks of a write are ignored. In a folder with a manifest, only the files that
    the manifest names are found.

    Args:
        folder: Existing folder to start at.
        parts: Parts of the pattern.
    """

    def __init__(self, folder: str, parts: tuple[str, ...]) -> None:
        first = (folder or "/", parts)
        self._branches: list[_Branch] = [first]
        #: Branches seen so far: several `**` lead to the same branch in many ways.
        self._visited: set[_Branch] = {first}
        #: Found files, with True for a link.
        self._files: dict[str, bool] = {}
        #: A folder written by Elastic was found; it may be empty.
        self.is_written = False

    def files(self) -> list[tuple[str, bool]]:
        """Return the files sorted by path, each with True if it is a link.

        Raises:
            SourceError: A folder cannot be read, a link is dangling, a name is neither a file nor a folder, or a
                written folder is incomplete.
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
        if branch not in self._visited:
            self._visited.add(branch)
            self._branches.append(branch)

    def _follow(self, path: str, rest: tuple[str, ...]) -> None:
        """Continue at a part without wildcards."""
        try:
            is_link = stat.S_ISLNK(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise unreadable_error(path, error) from error
        is_folder = stat.S_ISDIR(stat_of(path).st_mode)
        if rest and is_folder:
            self._branch(path, rest)
        elif not rest and not is_folder:
            self._files[path] = is_link

    def _scan(self, folder: str, parts: tuple[str, ...]) -> None:
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            raise unreadable_error(folder, error) from error
        marks = {entry.name for entry in entries if entry.name in (MANIFEST, MARKER) and not entry.is_dir()}
        named = manifest_files(folder, marks, lambda name: _read_mark(f"{folder.rstrip('/')}/{name}"))
        if named is not None:
            self.is_written = True
            self._files.update(
                _check_named_files(folder, [file for file in named if is_path_match(file.name.split("/"), parts)])
            )
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
                    self._add_match(entry, parts)

    def _descend(self, entries: list["os.DirEntry[str]"], parts: tuple[str, ...]) -> None:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not is_ignored(entry.name, is_folder=True):
                self._branch(entry.path, parts)

    def _add_match(self, entry: "os.DirEntry[str]", parts: tuple[str, ...]) -> None:
        """Record an entry that matches the first part: a file if that part is the last one, else a folder."""
        try:
            is_folder = entry.is_dir()
        except OSError:
            is_folder = False  # a dangling link; reported later if it matches
        if not is_eligible(entry.name, parts[0], is_folder=is_folder):
            return
        if is_folder and len(parts) > 1:
            self._branch(entry.path, parts[1:])
        elif not is_folder and len(parts) == 1:
            self._files[entry.path] = entry.is_symlink()


def stat_of(path: str) -> os.stat_result:
    """Return the state of a file, or of the target of a link.

    Raises:
        SourceError: The link is dangling, or the operating system refuses access.
    """
    try:
        return os.stat(path)  # noqa: PTH116  # once per file of thousands
    except OSError as error:
        raise unreadable_error(path, error) from error


def unreadable_error(path: str, error: OSError) -> SourceError:
    """Return the error for a path that the operating system refuses to read."""
    return SourceError(
        f"{path!r} cannot be read ({error.strerror or error}); check its permissions and the links in its path."
    )


def special_kind_of(state: os.stat_result) -> str | None:
    """Return the kind of a path that is not a regular file, or None."""
    return None if stat.S_ISREG(state.st_mode) else _KINDS.get(stat.S_IFMT(state.st_mode), "not a file")


def not_a_file_error(path: str, kind: str) -> SourceError:
    """Return the error for a path that is not a regular file."""
    return SourceError(f"{path!r} is {kind} and not a regular file; open it and read it with from_iterable.")


def _read_mark(path: str) -> bytes:
    """Return the content of a mark of a write. Refuse a named pipe, because reading it would block forever."""
    if kind := special_kind_of(stat_of(path)):
        raise not_a_file_error(path, kind)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unreadable_error(path, error) from error


def _check_named_files(folder: str, named: list[NamedFile]) -> dict[str, bool]:
    """Return the paths of files in a manifest, after checking that they exist and have the recorded sizes."""
    found = {}
    for file in named:
        path = f"{folder.rstrip('/')}/{file.name}"
        try:
            state = os.stat(path)  # noqa: PTH116  # once per file of thousands
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing_file_error(path, folder) from error
        except OSError as error:
            raise unreadable_error(path, error) from error
        check_size(path, state.st_size, file)
        found[path] = os.path.islink(path)  # noqa: PTH114  # as above
    return found
