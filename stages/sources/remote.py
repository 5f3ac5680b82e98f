"""Files behind URLs, through fsspec (the extra `files`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.stages.sources.listing import FoundFile

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
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise UsageError(
            f"reading {shown!r} needs fsspec; install it with `pip install 'elastic-dataflow[files]'`."
        ) from error
    try:
        fs, path = url_to_fs(url, **options)
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
    found: dict[str, dict[str, Any]]
    try:
        if any(sign in path for sign in "*?[") and not fs.exists(path):
            found, reason = fs.glob(path, detail=True), "matches no file"
        else:
            found, reason = {path: fs.info(path)}, "is a folder without files"
            if found[path].get("type") == "directory":
                found = _visible(fs.find(path, detail=True), path)
        files = [_file(fs, name, info) for name, info in sorted(found.items()) if info.get("type") != "directory"]
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(shown) from error
    except Exception as error:
        # Every store has errors of its own.
        raise unreachable(url, error) from error
    if not files:
        raise SourceNotFoundError(shown, reason)
    yield from files


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


def _visible(found: dict[str, dict[str, Any]], folder: str) -> dict[str, dict[str, Any]]:
    """Drop files whose path below the folder has a part that begins with a dot."""
    below = len(folder.rstrip("/")) + 1
    return {
        path: info for path, info in found.items() if not any(part.startswith(".") for part in path[below:].split("/"))
    }


def _file(fs: Any, path: str, info: Mapping[str, Any]) -> FoundFile:
    url = fs.unstrip_protocol(path)
    if info.get("size") is None:
        info = fs.info(path)
    if info.get("size") is None:
        raise SourceError(f"{masked(url)!r} does not tell its size; download it and read the local file.")
    return FoundFile(url, int(info["size"]), version_of(info))
