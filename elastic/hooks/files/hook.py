"""One hook for files: local paths, and every file system that fsspec supports."""

import datetime as dt
import errno
import glob as local_glob
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from elastic.core.errors import UsageError
from elastic.core.redaction import masked_url
from elastic.core.text import error_text
from elastic.hooks.connection import Connection
from elastic.hooks.errors import (
    FileAccessError,
    HookError,
    MissingPackageError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from elastic.hooks.hook import ConnectionTest, Hook
from elastic.stages.sources.files.glob_pattern import is_path_match, is_wild, split_pattern

#: Keys under which stores return the time of the last change, best first.
_TIMES = ("LastModified", "last_modified", "mtime", "modificationTime", "modified", "updated", "created")

#: Seconds until a server must accept, and until it must send the next bytes.
_TIMEOUTS = (10.0, 20.0)

#: Milliseconds per second: WebHDFS counts them.
_MILLIS = 1000


@dataclass(frozen=True, slots=True)
class FileInfo:
    """File as a listing describes it."""

    #: path or URL
    path: str
    #: bytes
    size: int
    #: in UTC; None if the file system does not tell
    modified_at: dt.datetime | None = None


class FileHook(Hook):
    """Hook that lists and reads files by their paths or URLs. It keeps no listing, so it sees the changes of others.

        FileHook().list("/data/in/*.csv", glob=True)
        FileHook("events").size("talk/2016/02/22/aa.txt")

    Args:
        target: The id of a connection, or a connection: `s3://key:secret@/bucket/prefix?endpoint=https://...`,
            `webhdfs://user@host:9870/folder`, `file:///data`. Paths are then relative to it. Without a connection, a
            path is local or a URL.
    """

    def __init__(self, target: str | Connection | None = None) -> None:
        super().__init__(Connection(kind="file", schema="") if target is None else target)
        self._has_root = target is not None

    def list(self, path: str, *, glob: bool = False, below: bool = False) -> Iterator[FileInfo]:
        """Yield a file, the files that match a pattern, or those below a folder or prefix; none if there are none.

        Args:
            path: A path or URL.
            glob: The path is a pattern: `*` and `?` match within a folder, `**` any number of folders.
            below: The path is a folder, or the beginning of the keys of a store.

        Raises:
            NotFoundError: The bucket does not exist.
            RefusedError: The store refuses access.
            UnreachableError: The store does not answer.
            MissingPackageError: fsspec, or a package for the protocol, is not installed.
        """
        url = self._url(path)
        if _is_local(url):
            with _converted(url):
                yield from _local(_local_path(url), glob=glob, below=below)
            return
        fs, inner = self._file_system(url)
        with _converted(url):
            if hasattr(fs, "call_s3"):
                yield from _of_s3(fs, inner, glob=glob, below=below)
            else:
                yield from _of_store(fs, inner, glob=glob, below=below)

    def size(self, path: str) -> int:
        """Return the size of a file in bytes.

        Raises:
            NotFoundError: There is no such file.
        """
        found = next(self.list(path), None)
        if found is None:
            raise NotFoundError(_shown(path), "there is no such file")
        return found.size

    @contextmanager
    def open_read(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file to read its bytes, and close it when the block ends.

        Raises:
            NotFoundError: There is no such file.
        """
        url = self._url(path)
        with _converted(url):
            if _is_local(url):
                file: Any = _local_path(url).open("rb")
            else:
                fs, inner = self._file_system(url)
                file = fs.open(inner, "rb")
        with file:
            yield file

    def test_connection(self) -> ConnectionTest:
        """List the root of the connection."""
        try:
            next(self.list("", below=True), None)
        except Exception as error:  # whatever is wrong is the answer
            return ConnectionTest(False, self.connection.masked(error_text(error)))
        return ConnectionTest(True, f"{self.connection} answers.")

    def _url(self, path: str) -> str:
        """Return the URL of a path; a path of a connection is below its root."""
        if not isinstance(path, str) or "\0" in path:
            raise UsageError(f"the path of a file must be a string without NUL, got {path!r}.")
        if not self._has_root or "://" in path:
            return path
        if ".." in path.split("/"):
            raise UsageError(f"the path {path!r} leaves the root of {self.connection}; remove '..'.")
        root = (self.connection.schema or "").rstrip("/")
        if self.connection.backend == "file":
            return f"/{root.lstrip('/')}/{path.lstrip('/')}"
        if self.connection.backend == "s3":
            return f"s3://{root}/{path.lstrip('/')}" if root else f"s3://{path.lstrip('/')}"
        parts = (root.lstrip("/"), path.lstrip("/"))
        return f"{self.connection.kind}://{self.connection.host or ''}/{'/'.join(part for part in parts if part)}"

    def _file_system(self, url: str) -> tuple[Any, str]:
        """Return the file system of a URL, and the path in it."""
        try:
            import fsspec
        except ModuleNotFoundError as error:
            raise MissingPackageError(f"the file {_shown(url)!r}", "fsspec", "files") from error
        protocol = urlsplit(url).scheme
        try:
            fs = fsspec.filesystem(
                protocol, skip_instance_cache=True, use_listings_cache=False, **self._options(protocol)
            )
        except ImportError as error:
            raise MissingPackageError(f"the file {_shown(url)!r}", protocol, "files") from error
        except ValueError as error:
            raise UsageError(f"{_shown(url)!r} cannot be read ({error_text(error)}); check its protocol.") from error
        except Exception as error:
            # Every store has errors of its own.
            raise UnreachableError(_shown(url), error_text(error)) from error
        return fs, str(fs._strip_protocol(url))

    def _options(self, protocol: str) -> Mapping[str, Any]:
        """Return the options of fsspec for a protocol; the credentials of a connection serve its own protocol only."""
        if not self._has_root or protocol != self.connection.backend:
            return {}
        found = self.connection
        if protocol == "s3":
            client = {"endpoint_url": found.extra.get("endpoint"), "region_name": found.extra.get("region")}
            given = {"key": found.login, "secret": found.password}
            limits = {"connect_timeout": _TIMEOUTS[0], "read_timeout": _TIMEOUTS[1], "retries": {"max_attempts": 2}}
            return {
                **{name: value for name, value in given.items() if value},
                "client_kwargs": {name: value for name, value in client.items() if value},
                "config_kwargs": limits,
            }
        names = {"host": found.host, "port": found.port, "username": found.login, "password": found.password}
        if protocol == "webhdfs":
            names = {"host": found.host, "port": found.port, "user": found.login}
        return {**{name: value for name, value in names.items() if value is not None}, **dict(found.extra)}


def _shown(url: str) -> str:
    """Return a path, or a URL without its password."""
    return masked_url(url) if "://" in url else url


def _is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


def _local_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path) if url.startswith("file://") else url)


def _local(path: Path, *, glob: bool, below: bool) -> Iterator[FileInfo]:
    if below:
        found: Iterable[Path] = path.rglob("*")
    elif glob:
        names = local_glob.iglob(str(path), recursive=True)  # noqa: PTH207 - the pattern may be absolute
        found = map(Path, names)
    else:
        found = [path]
    for one in found:
        try:
            status = one.stat()
        except OSError as error:
            # A link that leads to itself leads to no file.
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                continue
            raise
        if stat.S_ISDIR(status.st_mode) and (glob or below):
            continue
        yield FileInfo(str(one), status.st_size, dt.datetime.fromtimestamp(status.st_mtime, dt.UTC))


def _of_s3(fs: Any, path: str, *, glob: bool, below: bool) -> Iterator[FileInfo]:
    """Yield objects page by page, so that the first one of a large prefix costs one request."""
    bucket, _, key = path.partition("/")
    is_pattern = glob and is_wild(key)
    folder, parts = split_pattern(f"{bucket}/{key}") if is_pattern else ("", ())
    prefix = folder.partition("/")[2] if is_pattern else key
    token: dict[str, str] = {}
    while True:
        is_many = is_pattern or below
        page = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1000 if is_many else 1, **token)
        for item in page.get("Contents", ()):
            name = item["Key"]
            inner = f"{bucket}/{name}"[len(folder) :].lstrip("/")
            if is_pattern and not is_path_match(inner.split("/"), parts):
                continue
            if not is_many and name != key:
                continue
            yield FileInfo(f"s3://{bucket}/{name}", int(item["Size"]), _time(item))
        if not is_many or not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _of_store(fs: Any, path: str, *, glob: bool, below: bool) -> Iterator[FileInfo]:
    try:
        if below:
            found = fs.find(path, detail=True)
        elif glob:
            found = fs.glob(path, detail=True)
        else:
            found = {path: fs.info(path)}
    except FileNotFoundError as error:
        cause = error.__cause__
        status = getattr(cause, "status", None)
        if cause is None or isinstance(cause, FileNotFoundError) or status in (404, 410):
            return
        # The file system of HTTP turns each error into this one.
        kind = RefusedError if status in (401, 403) else UnreachableError
        raise kind(_shown(path), error_text(cause)) from error
    for name, info in sorted(found.items()):
        if info.get("type") != "directory" or not (glob or below):
            yield FileInfo(str(fs.unstrip_protocol(name)), int(info.get("size") or 0), _time(info))


def _time(info: Mapping[str, Any]) -> dt.datetime | None:
    value = next((info[name] for name in _TIMES if info.get(name) is not None), None)
    if isinstance(value, dt.datetime):
        return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    if isinstance(value, int | float):
        seconds = value / _MILLIS if "modificationTime" in info else value
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    return None


@contextmanager
def _converted(url: str) -> Iterator[None]:
    """Turn the errors of file systems into errors of hooks."""
    try:
        yield
    except (UsageError, HookError, GeneratorExit):
        raise
    except PermissionError as error:
        raise RefusedError(_shown(url), _reason(error)) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(_shown(url), _reason(error)) from error
    except OSError as error:
        if _is_local(url):
            raise FileAccessError(url, "read", _reason(error)) from error
        raise UnreachableError(_shown(url), _reason(error)) from error
    except Exception as error:
        # Every store has errors of its own.
        raise UnreachableError(_shown(url), _reason(error)) from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else error_text(error)) or type(
        error
    ).__name__
