"""Chunk store that people can inspect: one file per chunk, named by its receipt token."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from elastic.core.contracts.store import ChunkStore, StoredChunk
from elastic.core.errors import CorruptStoreError, StoreError, StoreFullError, UsageError
from elastic.core.model.chunk import Chunk
from elastic.persistence.chunk_store.record_format import (
    RecordHeader,
    check_owner,
    read_chunk,
    read_header,
    write_record,
)
from elastic.persistence.chunk_store.step_folder import StepFolder
from elastic.persistence.disk_reserve import DiskReserve
from elastic.persistence.durable_file import create_file, open_file, store_error, sync_file, sync_folder, write_at

#: Without dots and slashes, a token can only name a file of its folder.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_UNFINISHED_FILE = ".new"


class DirectoryChunkStore(ChunkStore):
    """Chunk store of one file per chunk: `<run>/chunks/step-0000/<token>`, which appears whole or not at all.

    Every process sees exactly the unfinished chunks in the folder. A chunk costs three syncs, where
    `SegmentChunkStore` needs one per group, so this store suits few, valuable chunks. It ignores a file whose name
    cannot be a token.
    """

    def __init__(
        self,
        run_folder: Path,
        run_id: str,
        step: int,
        *,
        read_only: bool = False,
        reserve: DiskReserve | None = None,
    ) -> None:
        self._reserve = reserve
        self._folder = StepFolder(run_folder, run_id, step, read_only=read_only)
        self._tokens: dict[int, str] | None = None

    def put(self, kept: Sequence[StoredChunk]) -> None:
        self._folder.check_usable(writing=True)
        tokens = self._index()
        new: dict[int, tuple[str, bytes]] = {}
        for stored in kept:
            chunk_id = stored.chunk.chunk_id
            if chunk_id not in tokens and chunk_id not in new:
                record = write_record(self._folder.run_id, self._folder.step, stored)
                new[chunk_id] = (_valid_token(stored.token), record)
        names = {token for token, _ in new.values()}
        if len(names) < len(new) or not names.isdisjoint(tokens.values()):
            raise UsageError(f"two chunks of run {self._folder.run_id} have the same token; each needs its own.")
        if new:
            try:
                self._write(dict(new.values()))
            except StoreFullError:
                if self._reserve is not None:
                    self._reserve.release()
                raise
            if self._reserve is not None:
                self._reserve.acquire()
            tokens.update((chunk_id, token) for chunk_id, (token, _) in new.items())

    def get(self, chunk_id: int) -> Chunk:
        self._folder.check_usable(writing=False)
        token = self._index().get(chunk_id)
        if token is None:
            raise LookupError(f"chunk {chunk_id} is not stored in {self._folder.path}")
        try:
            with self._opened(token) as (file, header):
                if header.stored.chunk.chunk_id != chunk_id:
                    raise CorruptStoreError(f"it holds {header.stored.chunk}, expected chunk {chunk_id}")
                return read_chunk(file, header)
        except FileNotFoundError as error:
            raise CorruptStoreError(f"{self._folder.path / token}, which held chunk {chunk_id}, is missing.") from error

    def delete(self, chunk_ids: Iterable[int]) -> None:
        self._folder.check_usable(writing=True)
        tokens = self._index()
        for chunk_id in chunk_ids:
            token = tokens.get(chunk_id)
            if token is not None:
                self._folder.remove_file(token)
                del tokens[chunk_id]

    def unfinished(self) -> Iterator[int]:
        self._folder.check_usable(writing=False)
        return iter(sorted(self._index()))

    def clean(self) -> None:
        self._folder.check_usable(writing=True)
        for name in self._folder.names():
            if _TOKEN.fullmatch(name.removesuffix(_UNFINISHED_FILE)):
                self._folder.remove_file(name)
        self._folder.remove_if_empty()
        self._tokens = None

    # Writing

    def _write(self, records: dict[str, bytes]) -> None:
        """Write all files, and rename them only then, so that a full disk leaves none behind."""
        folder = self._folder.path
        try:
            self._folder.make()
            for token, record in records.items():
                self._write_new(folder / (token + _UNFINISHED_FILE), record)
        except BaseException as error:
            for token in records:
                with contextlib.suppress(OSError):
                    (folder / (token + _UNFINISHED_FILE)).unlink(missing_ok=True)
            if isinstance(error, OSError) and not isinstance(error, StoreError):
                raise store_error(error, folder) from error
            raise
        try:
            for token in records:
                (folder / (token + _UNFINISHED_FILE)).rename(folder / token)
            sync_folder(folder)
        except OSError as error:
            raise self._folder.fail(
                f"{folder} was not synced to the disk ({error.strerror}); check the disk."
            ) from error

    def _write_new(self, path: Path, record: bytes) -> None:
        path.unlink(missing_ok=True)  # a killed process may have left one
        file = create_file(path)
        try:
            write_at(file, record, 0)
            try:
                sync_file(file)
            except OSError as error:
                raise self._folder.fail(
                    f"{path} was not synced to the disk ({error.strerror}); check the disk."
                ) from error
        finally:
            os.close(file)

    # Reading

    def _index(self) -> dict[int, str]:
        """Return the token of each chunk; the first call reads the folder."""
        if self._tokens is None:
            tokens: dict[int, str] = {}
            for name in self._folder.names():
                if _TOKEN.fullmatch(name):
                    self._add_to_index(name, tokens)
            if tokens:
                self._folder.sync()
            self._tokens = tokens
        return self._tokens

    def _add_to_index(self, token: str, tokens: dict[int, str]) -> None:
        try:
            with self._opened(token) as (_, header):
                chunk_id = header.stored.chunk.chunk_id
        except FileNotFoundError:
            return  # a master removed it after the folder was listed
        if chunk_id in tokens:
            raise CorruptStoreError(
                f"{self._folder.path}: files {tokens[chunk_id]} and {token} both hold chunk {chunk_id}; "
                "remove the wrong one."
            )
        tokens[chunk_id] = token

    @contextlib.contextmanager
    def _opened(self, token: str) -> Iterator[tuple[int, RecordHeader]]:
        """Yield a file and its header, with all but the payload checked.

        An error about damage that is raised inside the block gets the name of the file.
        """
        path = self._folder.path / token
        try:
            file = open_file(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise CorruptStoreError(
                f"{path} is not the file of a chunk ({error.strerror}); restore the file or remove it."
            ) from error
        try:
            size = os.fstat(file).st_size
            header = read_header(file, 0, size) if size else None
            if header is None or header.end != size:
                raise CorruptStoreError("the file does not end where its record ends")
            if header.stored.token != token:
                raise CorruptStoreError(f"its record belongs to the name {header.stored.token}")
            check_owner(header, self._folder.run_id, self._folder.step)
            yield file, header
        except CorruptStoreError as error:
            raise CorruptStoreError(
                f"{path}: {error}; its entries cannot be read; restore a good copy of the file or begin a new run."
            ) from error
        except StoreError as error:
            raise StoreError(f"{path}: {error}; use the version that wrote it.") from error
        finally:
            os.close(file)


def _valid_token(token: str) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise UsageError(f"invalid token {token!r}; a token must be 1 to 128 ASCII letters, digits, '-' or '_'.")
    return token
