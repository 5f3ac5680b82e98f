"""Opens the file of a range, local or remote, and checks that the file has not changed since the master cut it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from elastic.core.errors import SourceChangedError, SourceError, SourceNotFoundError
from elastic.stages.sources.files.block import ByteRange
from elastic.stages.sources.files.glob_expansion import unreadable_error
from elastic.stages.sources.files.listing import is_url
from elastic.stages.sources.files.remote import is_same_version, protocol_of, unreachable_error

#: Bytes to read after a remote range, so that the end of its last record is in the same request.
_READ_AHEAD_BYTES = 1 << 16


@contextmanager
def open_range(part: ByteRange, remotes: Mapping[str, Any]) -> Iterator[BinaryIO]:
    """Open the file of a range for reading; after the block, check the file's size and version.

    The check comes last, so that it also covers the data that was read.

    Raises:
        SourceChangedError: The file has changed since the master cut it.
        SourceNotFoundError: The file is gone, or this machine does not see it.
        SourceError: The file cannot be read.
    """
    if is_url(part.path):
        with _open_remote(part, remotes[protocol_of(part.path)]) as file:
            yield file
        return
    try:
        with open(part.path, "rb") as file:  # noqa: PTH123  # called once per chunk; Path takes 50 % longer
            yield file
            state = os.fstat(file.fileno())
            _check_unchanged(part, state.st_size, same=state.st_mtime_ns == part.version)
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(part.path, "is gone, or the machine that reads it does not see it") from error
    except OSError as error:
        raise unreadable_error(part.path, error) from error


@contextmanager
def _open_remote(part: ByteRange, fs: Any) -> Iterator[BinaryIO]:
    try:
        fs.invalidate_cache()
        info = fs.info(part.path)
        _check_unchanged(part, info.get("size"), same=is_same_version(info, part.version))
        with fs.open(part.path, "rb", cache_type="readahead", block_size=_READ_AHEAD_BYTES) as file:
            yield file
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(part.path, "is gone") from error
    except Exception as error:
        # Every store raises its own classes of errors.
        raise unreachable_error(part.path, error) from error


def read_exactly(file: BinaryIO, part: ByteRange, start: int, count: int) -> bytes:
    """Return `count` bytes from offset `start`.

    Raises:
        SourceChangedError: The file ends before that.
    """
    file.seek(start)
    data = file.read(count)
    if len(data) != count:
        raise SourceChangedError(part.path, f"it ends before byte {start + count}")
    return data


def _check_unchanged(part: ByteRange, size: int | None, *, same: bool) -> None:
    if size != part.size:
        raise SourceChangedError(part.path, f"it had {part.size} bytes and has {size}")
    if not same:
        raise SourceChangedError(part.path, "it was rewritten")
