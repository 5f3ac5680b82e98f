"""Files behind URLs, through fsspec (the extra `files`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.core.optional import require
from elastic.stages.sources.files.glob_pattern import ANY_DEPTH, divided, is_looked_through, is_path_match, is_wild
from elastic.stages.sources.files.listing import FoundFile
from elastic.stages.sources.files.written_folder import NamedFile, Read, check_size, missing_file, written_files

#: What a store tells of files, by path.
_Infos = dict[str, dict[str, Any]]

#: What stores call the thing that changes when a file is written again, best first.
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
        UsageError: fsspec, or what it needs for this protocol, is not installed, or the protocol is unknown.
        SourceError: The store refuses.
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
        raise unreachable(url, error) from error
    return fs, path


def list_remote(fs: Any, path: str, url: str) -> Iterator[FoundFile]:
    """Yield the files that a URL names, sorted: one file, a glob, or all files below a folder.

    Raises:
        SourceNotFoundError: Nothing is there.
        SourceError: The store cannot be reached, or does not tell the size of a file.
    """
    shown = masked(url)
    try:
        if is_wild(path) and not fs.exists(path):
            folder, parts = divided(path)
            reason = "matches no file"
        else:
            info = fs.info(path)
            if info.get("type") != "directory":
                yield _file(fs, path, info)
                return
            folder, parts, reason = path.rstrip("/"), (ANY_DEPTH,), "is a folder without files"
        depth = None if ANY_DEPTH in parts else len(parts)
        found = {name: info for name, info in fs.find(folder, maxdepth=depth, detail=True).items() if info}
        wanted, is_written = _wanted(fs, folder, parts, found)
        files = [_file(fs, name, info) for name, info in sorted(wanted.items()) if info.get("type") != "directory"]
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(shown) from error
    except Exception as error:
        # Every store has errors of its own.
        raise unreachable(url, error) from error
    if not files and not is_written:
        raise SourceNotFoundError(shown, reason)
    yield from files


def _wanted(fs: Any, folder: str, parts: tuple[str, ...], found: _Infos) -> tuple[_Infos, bool]:
    """Return what a pattern below a folder stands for, and whether there is a folder that a write has left."""
    below = {path[len(folder) :].lstrip("/"): path for path in found}
    names_in: dict[str, set[str]] = {}
    for name in below:
        inner, _, last = name.rpartition("/")
        names_in.setdefault(inner, set()).add(last)
    #: the files that are named in written folders, by folder
    named: dict[str, set[str]] = {}
    # A folder comes after the one that holds it: what a manifest does not name below itself is not looked at.
    for inner in sorted(names_in):
        if is_looked_through(inner.split("/") if inner else [], parts) and not any(_lies_in(inner, it) for it in named):
            place = f"{folder}/{inner}" if inner else folder
            files = written_files(place, names_in[inner], _reader_in(fs, place))
            if files is not None:
                wanted = [file for file in files if is_path_match(_joined(inner, file.name).split("/"), parts)]
                for file in wanted:
                    _check_named(place, file, found.get(below.get(_joined(inner, file.name), "")))
                named[inner] = {_joined(inner, file.name) for file in wanted}
    chosen = {
        path: found[path]
        for name, path in below.items()
        if is_path_match(name.split("/"), parts)
        and all(name in files for inner, files in named.items() if _lies_in(name, inner))
    }
    return chosen, bool(named)


def _check_named(place: str, file: NamedFile, info: dict[str, Any] | None) -> None:
    if info is None:
        raise missing_file(f"{place}/{file.name}", place)
    if info.get("size") is not None:
        check_size(f"{place}/{file.name}", int(info["size"]), file)


def _reader_in(fs: Any, place: str) -> Read:
    return lambda name: bytes(fs.cat_file(f"{place}/{name}"))


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _lies_in(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def version_of(info: Mapping[str, Any]) -> str:
    """Return what a store tells to know whether a file has been written again, as `key:value`, or nothing."""
    return next((f"{key}:{_version(info[key])}" for key in _VERSIONS if info.get(key) is not None), "")


def is_version(info: Mapping[str, Any], version: int | str) -> bool:
    """Say whether a file may still be of this version; a store that does not tell any more is believed."""
    key, _, value = str(version).partition(":")
    return info.get(key) is None or _version(info[key]) == value


def _version(value: Any) -> str:
    # The same store gives an instant as a datetime here and as seconds there.
    return str(value.timestamp() if hasattr(value, "timestamp") else value)


def protocol_of(url: str) -> str:
    return url.partition("://")[0]


def masked(url: str) -> str:
    """Return a URL without the password in it."""
    protocol, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, host_name = host.rpartition("@")
    if not at or ":" not in user:
        return url
    return f"{protocol}{separator}{user.partition(':')[0]}:***@{host_name}{slash}{path}"


def unreachable(url: str, error: Exception) -> SourceError:
    """Return the error for a URL that its store refuses."""
    reason = str(error) or type(error).__name__
    return SourceError(f"{masked(url)!r} cannot be read ({reason}); check the address, the network and your rights.")


def _file(fs: Any, path: str, info: Mapping[str, Any]) -> FoundFile:
    url = fs.unstrip_protocol(path)
    if info.get("size") is None:
        info = fs.info(path)
    if info.get("size") is None:
        raise SourceError(f"{masked(url)!r} does not tell its size; download it and read the local file.")
    return FoundFile(url, int(info["size"]), version_of(info))
