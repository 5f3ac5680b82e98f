"""Files behind URLs, read through fsspec (the extra `files`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.core.optional import require
from elastic.stages.sources.files.glob_pattern import (
    ANY_DEPTH,
    is_above_match,
    is_path_match,
    is_searched,
    is_wild,
    split_pattern,
)
from elastic.stages.sources.files.listing import FoundFile
from elastic.stages.sources.files.written_folder import (
    NamedFile,
    check_size,
    manifest_files,
    missing_file_error,
)

#: A store's information about a file.
_Info = dict[str, Any]

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


def list_remote(fs: Any, path: str, url: str, *, lazily: bool = False) -> Iterator[FoundFile]:
    """Yield the files of a URL, sorted: one file, a glob, or all files below a folder.

    Args:
        fs: File system of the URL.
        path: Path of the URL inside it.
        url: For messages.
        lazily: List one folder after another, as far as the caller reads; a store needs fewer requests for all at once.

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
        expansion = _RemoteExpansion(fs, folder, parts, lazily=lazily)
        is_empty = True
        for name, info in expansion.files():
            is_empty = False
            yield _file(fs, name, info)
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(shown) from error
    except Exception as error:
        # Every store has errors of its own.
        raise unreachable_error(url, error) from error
    if is_empty and not expansion.is_written:
        raise SourceNotFoundError(shown, reason)


class _RemoteExpansion:
    """Search for the files below a folder of a store that match a pattern, by the rule of local folders.

    Names are paths below that folder; those of folders end with a slash, and the folder itself is "".

    Args:
        fs: File system.
        folder: Path of the folder, without a slash at its end.
        parts: Parts of the pattern.
        lazily: List one folder after another.
    """

    def __init__(self, fs: Any, folder: str, parts: tuple[str, ...], *, lazily: bool) -> None:
        self._fs, self._folder, self._parts, self._is_lazy = fs, folder, parts, lazily
        #: Names of the entries of each folder that is known.
        self._entries: dict[str, set[str]] = {}
        #: Path and information of each file that is known.
        self._found: dict[str, tuple[str, _Info]] = {}
        #: A folder written by Elastic was found; it may be empty.
        self.is_written = False

    def files(self) -> Iterator[tuple[str, _Info]]:
        """Yield the path and the information of each file, sorted by path."""
        if not self._is_lazy:
            self._find_below("")
        pending = [""]
        while pending:
            name = pending.pop()
            if name and not name.endswith("/"):
                if is_path_match(name.split("/"), self._parts):
                    yield self._found[name]
            elif is_above_match(name.split("/")[:-1], self._parts):
                entries = self._entries_of(name)
                named = self._named_files(name, entries)
                if named is None:
                    pending.extend(sorted(entries, reverse=True))
                else:
                    self.is_written = True
                    for file in named:
                        yield self._checked(name, file)

    def _entries_of(self, folder: str) -> set[str]:
        if folder not in self._entries and self._is_lazy:
            self._list(folder)
        return self._entries.get(folder, set())

    def _list(self, folder: str) -> None:
        try:
            infos = self._fs.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return
        entries = {}
        for info in infos:
            name = self._name(info["name"])
            if info.get("type") == "directory":
                name = f"{name.rstrip('/')}/"
            if name in (folder, "/"):
                # Either the mark of an empty folder, or a folder without a name.
                self._find_below(folder)
                return
            entries[name] = info["name"], info
        self._entries[folder] = set(entries)
        self._found.update(entries)

    def _find_below(self, folder: str) -> None:
        depth = None if ANY_DEPTH in self._parts else len(self._parts) - folder.count("/")
        for path, info in self._fs.find(self._path(folder), maxdepth=depth, detail=True).items():
            name = self._name(path)
            if info and info.get("type") != "directory":
                self._found[name] = path, info
                inner = ""
                for part in name.split("/")[:-1]:
                    self._entries.setdefault(inner, set()).add(f"{inner}{part}/")
                    inner += f"{part}/"
                self._entries.setdefault(inner, set()).add(name)

    def _named_files(self, folder: str, entries: set[str]) -> list[NamedFile] | None:
        """Return the matching files in the manifest of a folder, sorted; None if Elastic did not write the folder."""
        if not is_searched(folder.split("/")[:-1], self._parts):
            return None
        location = self._path(folder)
        names = {name[len(folder) :] for name in entries if not name.endswith("/")}
        files = manifest_files(location, names, lambda name: bytes(self._fs.cat_file(f"{location}/{name}")))
        if files is None:
            return None
        matching = [file for file in files if is_path_match(f"{folder}{file.name}".split("/"), self._parts)]
        return sorted(matching, key=lambda file: file.name)

    def _checked(self, folder: str, file: NamedFile) -> tuple[str, _Info]:
        """Return the path and the information of a file in the manifest of a folder, after checking its size."""
        location = self._path(folder)
        path = f"{location}/{file.name}"
        found = self._found.get(f"{folder}{file.name}")
        if found is None and self._is_lazy:
            try:
                found = path, self._fs.info(path)
            except FileNotFoundError:
                found = None
        if found is None:
            raise missing_file_error(path, location)
        if found[1].get("size") is not None:
            check_size(path, int(found[1]["size"]), file)
        return found

    def _name(self, path: str) -> str:
        return path[len(self._folder) :].lstrip("/")

    def _path(self, folder: str) -> str:
        return f"{self._folder}/{folder}"[:-1] if folder else self._folder


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
