"""Files behind URLs, read through fsspec (the extra `files`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.core.optional import require
from elastic.stages.sources.files.glob_pattern import ANY_DEPTH, is_path_match, is_searched, is_wild, split_pattern
from elastic.stages.sources.files.listing import FoundFile
from elastic.stages.sources.files.written_folder import (
    NamedFile,
    ReadFile,
    check_size,
    manifest_files,
    missing_file_error,
)

#: A store's information about files, by path.
_Infos = dict[str, dict[str, Any]]

#: Keys under which stores return a value that changes when a file is rewritten, best first.
_VERSIONS = (
    "ETag",
    "etag",
    "e_tag",
    "generation",
    "md5",
    "LastModified",
    "last_modified",
    "mtime",
    "updated",
    "created",
)


def connect(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the file system of a URL and the path inside it.

    Raises:
        UsageError: fsspec or a package for this protocol is not installed, or the protocol is unknown.
        SourceError: The store refuses access.
    """
    shown = masked(url)
    fsspec = require("fsspec.core", extra="files", user=f"reading {shown!r}")
    try:
        fs, path = fsspec.url_to_fs(url, **options)
    except ImportError as error:
        raise UsageError(f"reading {shown!r} needs another package on every node ({error}).") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{shown!r} cannot be read ({error}); check the protocol and the storage options.") from error
    except Exception as error:
        # Every store has errors of its own.
        raise unreachable_error(url, error) from error
    return fs, path


def list_remote(fs: Any, path: str, url: str) -> Iterator[FoundFile]:
    """Yield the files of a URL, sorted: one file, a glob, or all files below a folder.

    Raises:
        SourceNotFoundError: The URL names nothing.
        SourceError: The store cannot be reached, or does not report the size of a file.
    """
    shown = masked(url)
    try:
        if is_wild(path) and not fs.exists(path):
            folder, parts = split_pattern(path)
            reason = "matches no file"
        else:
            info = fs.info(path)
            if info.get("type") != "directory":
                yield _file(fs, path, info)
                return
            folder, parts, reason = path.rstrip("/"), (ANY_DEPTH,), "is a folder without files"
        depth = None if ANY_DEPTH in parts else len(parts)
        found = {name: info for name, info in fs.find(folder, maxdepth=depth, detail=True).items() if info}
        matching, is_written = _matching(fs, folder, parts, found)
        files = [_file(fs, name, info) for name, info in sorted(matching.items()) if info.get("type") != "directory"]
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(shown) from error
    except Exception as error:
        # Every store has errors of its own.
        raise unreachable_error(url, error) from error
    if not files and not is_written:
        raise SourceNotFoundError(shown, reason)
    yield from files


def _matching(fs: Any, folder: str, parts: tuple[str, ...], found: _Infos) -> tuple[_Infos, bool]:
    """Return the files that match a pattern below a folder, and whether Elastic wrote one of the folders."""
    below = {path[len(folder) :].lstrip("/"): path for path in found}
    names_in: dict[str, set[str]] = {}
    for name in below:
        inner, _, last = name.rpartition("/")
        names_in.setdefault(inner, set()).add(last)
    #: Files in the manifests of written folders, by folder.
    named: dict[str, set[str]] = {}
    # Parents come before their folders: folders below a manifest are skipped unless it names files in them.
    for inner in sorted(names_in):
        if is_searched(inner.split("/") if inner else [], parts) and not any(_is_inside(inner, it) for it in named):
            location = f"{folder}/{inner}" if inner else folder
            files = manifest_files(location, names_in[inner], _reader_in(fs, location))
            if files is not None:
                matching = [file for file in files if is_path_match(_join(inner, file.name).split("/"), parts)]
                for file in matching:
                    _check_named(location, file, found.get(below.get(_join(inner, file.name), "")))
                named[inner] = {_join(inner, file.name) for file in matching}
    chosen = {
        path: found[path]
        for name, path in below.items()
        if is_path_match(name.split("/"), parts)
        and all(name in files for inner, files in named.items() if _is_inside(name, inner))
    }
    return chosen, bool(named)


def _check_named(location: str, file: NamedFile, info: dict[str, Any] | None) -> None:
    if info is None:
        raise missing_file_error(f"{location}/{file.name}", location)
    if info.get("size") is not None:
        check_size(f"{location}/{file.name}", int(info["size"]), file)


def _reader_in(fs: Any, location: str) -> ReadFile:
    return lambda name: bytes(fs.cat_file(f"{location}/{name}"))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_inside(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def version_of(info: Mapping[str, Any]) -> str:
    """Return a store's version of a file as `key:value`, or "" if the store has none."""
    return next((f"{key}:{_version(info[key])}" for key in _VERSIONS if info.get(key) is not None), "")


def is_same_version(info: Mapping[str, Any], version: int | str) -> bool:
    """Return whether a file may still have this version; a store that no longer reports versions is trusted."""
    key, _, value = str(version).partition(":")
    return info.get(key) is None or _version(info[key]) == value


def _version(value: Any) -> str:
    # The same store returns a time as a datetime in one call and as seconds in another.
    return str(value.timestamp() if hasattr(value, "timestamp") else value)


def protocol_of(url: str) -> str:
    return url.partition("://")[0]


def masked(url: str) -> str:
    """Return a URL without its password."""
    protocol, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, host_name = host.rpartition("@")
    if not at or ":" not in user:
        return url
    return f"{protocol}{separator}{user.partition(':')[0]}:***@{host_name}{slash}{path}"


def unreachable_error(url: str, error: Exception) -> SourceError:
    """Return the error for a URL that its store refuses to read."""
    reason = str(error) or type(error).__name__
    return SourceError(
        f"{masked(url)!r} cannot be read ({reason}); check the address, the network and your permissions."
    )


def _file(fs: Any, path: str, info: Mapping[str, Any]) -> FoundFile:
    url = fs.unstrip_protocol(path)
    if info.get("size") is None:
        info = fs.info(path)
    if info.get("size") is None:
        raise SourceError(f"{masked(url)!r} does not report its size; download it and read the local file.")
    return FoundFile(url, int(info["size"]), version_of(info))
