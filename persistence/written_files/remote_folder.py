"""Target folder behind a URL, written through fsspec (the extra `files`).

Stores of objects have no rename that could make files visible together, so attempts get their last names at once. The
manifest decides which of them count, and the others are removed before `_SUCCESS` is written.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from elastic.core.contracts.sink import MARKER
from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.core.optional import require
from elastic.core.redaction import MASK, is_secret_name, masked_url
from elastic.persistence.written_files.target_folder import (
    MARKS,
    TargetFile,
    TargetFolder,
    check_removable,
    digest_of,
    is_attempt,
)

#: Protocols whose folders are prefixes of names: they need no creation, and creating one might create a bucket.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "cos", "r2"})

#: Protocols that fsspec only reads, or that cannot take files one by one.
_READ_ONLY = frozenset({
    "http", "https", "github", "git", "zip", "tar", "libarchive", "data", "reference", "generic", "jupyter",
    "asyncwrapper", "blockcache", "cached", "filecache", "simplecache", "dir",
})  # fmt: skip

#: File system of the process that made the flow.
_MEMORY = "memory"


def check_url(url: str, verb: str) -> None:
    """Check that files can be written to a URL, without a connection.

    Raises:
        UsageError: They cannot, or a package is missing.
    """
    protocol, shown = protocol_of(url), masked_url(url)
    if "::" in url or protocol in _READ_ONLY:
        raise UsageError(f"{verb}({shown!r}) cannot write to {protocol}; give a local path or a URL such as s3://...")
    fsspec = require("fsspec", extra="files", user=f"writing to {shown!r}")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise UsageError(f"writing to {shown!r} needs another package on every node ({error}).") from error
    except ValueError as error:
        raise UsageError(f"{verb}({shown!r}) cannot write to {protocol} ({error}); check the URL.") from error


def check_cluster(url: str, cluster: str) -> None:
    """Check that the workers of a cluster reach the file system of a URL.

    Raises:
        UsageError: Only this process does.
    """
    if protocol_of(url) == _MEMORY and cluster != "inline":
        raise UsageError(
            f"{url!r} is in the memory of this process, which the workers of cluster={cluster!r} do not see; use "
            "cluster='inline', or write to another place."
        )


def protocol_of(url: str) -> str:
    return url.partition("://")[0].lower()


class RemoteFolder(TargetFolder):
    """Folder behind a URL.

    Args:
        url: URL of the folder.
        options: Parameters of the file system.
        tag: Part of the names that only attempts of this step have.
        mark: Fields of the marker that this step's master writes.
    """

    def __init__(self, url: str, options: Mapping[str, Any], tag: str, mark: dict[str, Any]) -> None:
        self._url, self._options, self._tag, self._mark = url.rstrip("/"), dict(options), tag, mark
        self.shown = masked_url(self._url)
        self._connected: tuple[Any, str] | None = None

    # -- on workers

    def is_reachable(self) -> bool:
        data = self.read(MARKER)
        try:
            return data is not None and self._mark.items() <= json.loads(data).items()
        except (ValueError, AttributeError):
            return False

    def create(self, name: str) -> TargetFile:
        with self._errors():
            path = self._path(name)
            self._make_parent(path)
            return _RemoteFile(self._fs.open(path, "wb"), self._errors)

    # -- on the master

    def foreign(self, tags: Collection[str]) -> str:
        try:
            with self._errors():
                names = self._names()
        except StoreError as error:
            raise UsageError(str(error)) from error
        return min((name for name in names if name not in MARKS and not is_attempt(name, tags)), default="")

    def make(self) -> None:
        with self._errors():
            self._make_parent(self._path(MARKER))

    def read(self, name: str) -> bytes | None:
        with self._errors():
            self._fs.invalidate_cache()
            try:
                return bytes(self._fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def put(self, name: str, data: bytes) -> None:
        with self._errors():
            self._fs.pipe_file(self._path(name), data)

    def put_new(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        with self._errors():
            self._fs.invalidate_cache()
            if self._fs.exists(path):
                return False
            try:
                self._fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            except (ValueError, TypeError, NotImplementedError):
                # This store cannot create a file only if it is missing. Two runs that begin in the same moment notice
                # each other unless both write before either reads.
                self._fs.pipe_file(path, data)
        return self.read(name) == data

    def remove(self, names: Collection[str]) -> None:
        parents = set[str]()
        for name in names:
            check_removable(name, self.shown)
            with self._errors(), suppress(FileNotFoundError):
                self._fs.rm_file(self._path(name))
            parents |= {name[: found.start()] for found in re.finditer("/", name)}
        if not self._is_object_store:
            for parent in sorted(parents, key=len, reverse=True):
                with suppress(Exception):  # it may hold other files, and every store has errors of its own
                    self._fs.rmdir(self._path(parent))

    def size(self, name: str) -> int | None:
        with self._errors():
            try:
                return int(self._fs.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def files(self) -> set[str]:
        with self._errors():
            return {name for name in self._names() if name not in MARKS}

    def digest(self, name: str) -> tuple[int, str] | None:
        with self._errors():
            self._fs.invalidate_cache()
            try:
                with self._fs.open(self._path(name), "rb") as file:
                    return digest_of(file)
            except FileNotFoundError:
                return None

    def reveal(self, names: Collection[str]) -> None:
        """Do nothing: attempts have their names from the start."""

    def hide(self, kept: Collection[str]) -> None:
        """Do nothing: attempts are never hidden."""

    def sweep(self, kept: Collection[str]) -> None:
        with self._errors():
            lost = [name for name in self._names() if is_attempt(name, (self._tag,)) and name not in kept]
        self.remove(lost)

    def discard(self) -> None:
        with suppress(ElasticError):
            self.sweep(())

    # -- the file system

    def _names(self) -> list[str]:
        """Return the names of all files in the folder."""
        self._fs.invalidate_cache()
        root = self._path("").rstrip("/")
        try:
            found = self._fs.find(root)
        except FileNotFoundError:
            found = []
        if not found and self._is_object_store and not self._fs.exists(root.split("/")[0]):
            raise FileNotFoundError(f"there is no bucket {root.split('/')[0]!r}")
        return [path[len(root) :].lstrip("/") for path in found]

    @property
    def _is_object_store(self) -> bool:
        return protocol_of(self._url) in _OBJECT_STORES

    def _make_parent(self, path: str) -> None:
        if not self._is_object_store:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)

    @property
    def _fs(self) -> Any:
        return self._connect()[0]

    def _path(self, name: str) -> str:
        return f"{self._connect()[1].rstrip('/')}/{name}"

    def _connect(self) -> tuple[Any, str]:
        if self._connected is None:
            core = require("fsspec.core", extra="files", user=f"writing to {self.shown!r}")
            with self._errors():
                fs, root = core.url_to_fs(self._url, **self._options)
            self._connected = fs, root
        return self._connected

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ElasticError:
            raise
        except Exception as error:
            # Every store has errors of its own.
            reason = self._without_secrets(str(error) or type(error).__name__)
            raise StoreError(
                f"{self.shown!r} cannot be used ({reason}); check the address, the network and your permissions."
            ) from None

    def _without_secrets(self, text: str) -> str:
        secrets = [*_secrets_in(self._options)]
        login = self._url.partition("://")[2].rpartition("@")[0]
        secrets += [login, login.partition(":")[2]]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    def __getstate__(self) -> dict[str, Any]:
        # Every process connects by itself.
        return {**self.__dict__, "_connected": None}


class _RemoteFile:
    """Attempt that is being written."""

    def __init__(self, file: Any, errors: Callable[[], Any]) -> None:
        self._file, self._errors = file, errors

    def write(self, data: bytes) -> None:
        with self._errors():
            self._file.write(data)

    def close(self) -> None:
        with self._errors():
            self._file.close()

    def __del__(self) -> None:
        # fsspec completes an open file when it is collected; a state that a worker drops must leave none.
        if not getattr(self._file, "closed", True):
            with suppress(Exception):
                self._file.closed = True


def _secrets_in(options: Any, name: str = "secret") -> Iterator[str]:
    """Yield the strings in parameters whose names suggest a secret."""
    if isinstance(options, Mapping):
        for key, value in options.items():
            yield from _secrets_in(value, str(key))
    elif isinstance(options, str) and (is_secret_name(name) or name in ("key", "username")):
        yield options
