"""Search for the files of a source: local paths and URLs, each file once."""

from collections.abc import Iterator, Mapping, Sequence
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
    remotes: dict[str, Any] = {}
    return FileListing(tuple(iterate_files(paths, options, remotes, lazily=False)), remotes)


def iterate_files(
    paths: Sequence[str], options: Mapping[str, Any], remotes: dict[str, Any], *, lazily: bool
) -> Iterator[FoundFile]:
    """Yield the files of paths as `find_files` returns them, and add their fsspec file systems to `remotes`.

    Args:
        paths: As `path_strings` returns them.
        options: Parameters of the remote file system.
        remotes: File systems by protocol.
        lazily: List the folders of a store one after another, as far as the caller reads.

    Raises:
        SourceError, UsageError: As `find_files` does.
    """
    seen: set[str] = set()
    local = LocalFiles()
    for path in paths:
        for identity, file in _remote_files(path, options, remotes, lazily) if is_url(path) else local.files_of(path):
            if identity not in seen:
                seen.add(identity)
                yield file


def _remote_files(
    url: str, options: Mapping[str, Any], remotes: dict[str, Any], lazily: bool
) -> Iterator[tuple[str, FoundFile]]:
    fs, inside = connect(url, options)
    for file in list_remote(fs, inside, url, lazily=lazily):
        if remotes.setdefault(protocol_of(file.path), fs) is not fs:
            raise UsageError(f"{masked(url)!r} is on another host than an earlier path; read it in another flow.")
        yield file.path, file


def shown_paths(paths: Sequence[str]) -> str:
    """Return the first three paths, for messages."""
    more = len(paths) - 3
    return ", ".join(map(masked, paths[:3])) + (f" and {more} more" if more > 0 else "")


def change_of(before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    """Return the difference between two marks of a listing, for messages."""
    if before[:2] == now[:2]:
        return f"the same {now[0]} files, but at least one was renamed or rewritten"
    return f"there were {before[0]} files of {before[1]} bytes and there are {now[0]} of {now[1]}"
