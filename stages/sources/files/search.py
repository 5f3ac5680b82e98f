"""Search for the files of a source: local paths and URLs, each file once."""

from collections.abc import Mapping, Sequence
from typing import Any

from elastic.core.errors import UsageError
from elastic.stages.sources.files.listing import FileListing, FoundFile, LocalFiles, is_url
from elastic.stages.sources.files.remote import connect, list_remote, masked, protocol_of


def find_files(paths: Sequence[str], options: Mapping[str, Any]) -> FileListing:
    """Return the files of paths, globs, folders and URLs, in reading order.

    Args:
        paths: As `path_strings` returns them.
        options: Parameters of the remote file system.

    Raises:
        SourceNotFoundError: A path names nothing.
        SourceError: A path cannot be read.
        UsageError: Two URLs are on different hosts.
    """
    found: dict[str, FoundFile] = {}
    remotes: dict[str, Any] = {}
    local = LocalFiles()
    for path in paths:
        if not is_url(path):
            for real_path, one in local.files_of(path):
                found.setdefault(real_path, one)
            continue
        fs, inside = connect(path, options)
        for file in list_remote(fs, inside, path):
            if remotes.setdefault(protocol_of(file.path), fs) is not fs:
                raise UsageError(f"{masked(path)!r} is on another host than an earlier path; read it in another flow.")
            found[file.path] = file
    return FileListing(tuple(found.values()), remotes)


def shown_paths(paths: Sequence[str]) -> str:
    """Return the first three paths, for messages."""
    more = len(paths) - 3
    return ", ".join(map(masked, paths[:3])) + (f" and {more} more" if more > 0 else "")


def change_of(before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    """Return the difference between two marks of a listing, for messages."""
    if before[:2] == now[:2]:
        return f"the same {now[0]} files, but at least one was renamed or rewritten"
    return f"there were {before[0]} files of {before[1]} bytes and there are {now[0]} of {now[1]}"
